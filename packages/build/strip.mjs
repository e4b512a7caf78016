/**
 * What the strip step takes away. Each edit keeps every newline of what it removes, so line N of the plain build is
 * line N of its source. Only called on files that refusals.mjs accepts: several edits rely on what is refused there.
 */
import MagicString from 'magic-string';
import { isTask } from './names.mjs';

/** Blanks and comments, then at most one word that may stand before the `*` of a generator; any number of times. */
const BEFORE_STAR =
  /(?:(?:\s|\/\*[^]*?\*\/|\/\/.*)+|\b(?:function|static|override|public|private|protected)\b(?!\s*\())*\*/y;
/** Types that need parentheses where a `Task<…>` around them is taken away inside another type. */
const LOOSE_TYPE = /^TS(Union|Intersection|Function|Constructor|Conditional|Infer)Type$|^TSTypeOperator$/;

/** The specifier that the plain build imports: three suffixes, so that no list is needed. */
export function plainSource(source) {
  if (/^@mmkit\/.*\/sched$/.test(source)) return source.slice(0, -'/sched'.length);
  return source.replace(/\.co\.ts$/, '.gen.ts').replace(/\.sched\.ts$/, '.plain.ts');
}

/** The plain build of one parsed file, ending with its source map. */
export function strip({ text, name, nodes }) {
  const out = new MagicString(text);
  const replace = (start, end, by = '') => {
    if (start < end) out.overwrite(start, end, by + text.slice(start, end).replace(/[^\n]/g, ''));
  };
  for (const [node, parent] of nodes) {
    if (node.generator === true) {
      // A method's function node begins at its parameters; the `*` stands before the name.
      const isMethod = parent.type === 'MethodDefinition' || parent.method === true;
      BEFORE_STAR.lastIndex = isMethod ? parent.start : node.start;
      BEFORE_STAR.test(text);
      const end = BEFORE_STAR.lastIndex;
      replace(end - 1, end, /\w\*[\w$]/.test(text.slice(end - 2, end + 1)) ? ' ' : '');
    } else if (isTask(node)) {
      const inner = node.typeArguments.params[0];
      replace(node.start, inner.start);
      replace(inner.end, node.end);
      if (LOOSE_TYPE.test(inner.type) && parent.type !== 'TSTypeAnnotation') {
        out.appendRight(inner.start, '(').appendLeft(inner.end, ')');
      }
    } else if (node.type === 'YieldExpression' && node.delegate) {
      const end = text.indexOf('*', node.start) + 1;
      replace(node.start, text[end] === ' ' ? end + 1 : end);
    } else if (node.type === 'YieldExpression') {
      // `if (x) yield P;` must not become a condition on the next line, and `if (x) ;` is TS1313.
      const block = nodes.parentOf.get(parent).type;
      replace(parent.start, parent.end, /^(BlockStatement|FunctionBody|SwitchCase)$/.test(block) ? ';' : '{}');
    } else if (node.type === 'ImportDeclaration') {
      dropTask(node, replace);
    }
    const source = node.source?.value;
    if (typeof source === 'string' && plainSource(source) !== source) {
      out.overwrite(node.source.start + 1, node.source.end - 1, plainSource(source));
    }
  }
  const code = out.toString();
  if (code.split('\n').length !== text.split('\n').length) throw new Error(`${name}: the number of lines changed`);
  const map = out.generateMap({ hires: 'boundary', source: name });
  return `${code}${code.endsWith('\n') ? '' : '\n'}//# sourceMappingURL=${map.toUrl()}\n`;
}

/** Takes `Task` out of an import, or the import away when it names nothing else. */
function dropTask(node, replace) {
  const at = node.specifiers.findIndex((s) => s.imported?.name === 'Task');
  if (at < 0) return;
  const [before, task, after] = [node.specifiers[at - 1], node.specifiers[at], node.specifiers[at + 1]];
  if (after) replace(task.start, after.start);
  else if (before) replace(before.end, task.end);
  else replace(node.start, node.end);
}
