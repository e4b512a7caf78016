/* The text of a trace. The caller has checked its form: only what is new here to the kernel matters. */
#include "record.h"
#include <stdlib.h>
#include <string.h>

struct trace trace;

static struct {
  const char *key;
  size_t offset;
} integers[] = {
    {"p", offsetof(struct op, p)},       {"at", offsetof(struct op, at)},   {"n", offsetof(struct op, n)},
    {"o", offsetof(struct op, o)},       {"len", offsetof(struct op, len)}, {"off", offsetof(struct op, off)},
    {"size", offsetof(struct op, size)}, {"f", offsetof(struct op, f)},     {"s", offsetof(struct op, s)},
    {"v", offsetof(struct op, v)},       {"c", offsetof(struct op, c)},     {"old", offsetof(struct op, old)},
    {"new", offsetof(struct op, new)},   {"to", offsetof(struct op, to)},   {"onfault", offsetof(struct op, onfault)},
};

static void take_pair(struct op *op, const char *key, const char *value) {
  if (!strcmp(key, "prot")) {
    snprintf(op->prot, sizeof op->prot, "%s", value);
    return;
  }
  for (size_t k = 0; k < sizeof integers / sizeof *integers; k++) {
    if (strcmp(key, integers[k].key)) continue;
    *(long *)((char *)op + integers[k].offset) = strtol(value, NULL, 0);
    return;
  }
  snprintf(op->words, sizeof op->words, ",%s,", value);
}

static void take_head(const char *key, const char *value) {
  if (!strcmp(key, "pages")) trace.pages = strtol(value, NULL, 0);
  if (!strcmp(key, "thp")) trace.thp = !strcmp(value, "madvise");
  if (!strcmp(key, "observe")) trace.observe_each = !strcmp(value, "each");
}

static void take_file(char *pairs) {
  struct file_spec spec = {.used = 1};
  long id = 0;
  for (char *save, *pair = strtok_r(pairs, " ", &save); pair; pair = strtok_r(NULL, " ", &save)) {
    char *value = strchr(pair, '=');
    *value++ = 0;
    if (!strcmp(pair, "id")) id = strtol(value, NULL, 0);
    if (!strcmp(pair, "kind")) snprintf(spec.kind, sizeof spec.kind, "%s", value);
    if (!strcmp(pair, "pages")) spec.pages = strtol(value, NULL, 0);
    if (!strcmp(pair, "fill")) spec.fill = strtol(value, NULL, 0);
  }
  trace.files[id] = spec;
}

static void take_line(char *line) {
  char *rest = strchr(line, ' ');
  if (rest) *rest++ = 0;
  if (!strcmp(line, "file")) {
    take_file(rest);
    return;
  }
  struct op op = {.n = 1, .f = -1, .at = NONE};
  int head = !strcmp(line, "trace");
  snprintf(op.name, sizeof op.name, "%s", line);
  for (char *save, *pair = rest ? strtok_r(rest, " ", &save) : NULL; pair; pair = strtok_r(NULL, " ", &save)) {
    char *value = strchr(pair, '=');
    *value++ = 0;
    if (head) take_head(pair, value);
    else take_pair(&op, pair, value);
  }
  if (head) return;
  trace.ops = realloc(trace.ops, (trace.count + 1) * sizeof op);
  if (!trace.ops) die("memory");
  trace.ops[trace.count++] = op;
}

int read_trace(FILE *from) {
  char *line = NULL;
  size_t room = 0;
  free(trace.ops);
  memset(&trace, 0, sizeof trace);
  for (ssize_t length; (length = getline(&line, &room, from)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (!strcmp(line, "end")) break;
    if (*line && *line != '#') take_line(line);
  }
  free(line);
  return trace.pages > 0;
}
