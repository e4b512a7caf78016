/** The smallest trace that still shows a difference: fewer lines first, then smaller numbers. */

/** Which of several traces, as lines, show a difference. */
export type Differs = (candidates: readonly (readonly string[])[]) => readonly boolean[];

/** Keys whose numbers may become smaller, and how small. */
const LEAST: Readonly<Record<string, number>> = { n: 1, len: 1, old: 1, new: 1, v: 1, o: 0, off: 0 };

/** A change of a trace; several may be made together. */
type Change = (lines: readonly (string | null)[]) => (string | null)[];

/**
 * `lines` without what the difference does not need; the first line stays. No line can be left out of the result, and no number
 * of it be halved or become the least, without losing the difference.
 */
export function shrink(lines: readonly string[], differs: Differs): readonly string[] {
  let now = lines;
  for (;;) {
    const before = now;
    for (let size = Math.ceil((now.length - 1) / 2); size >= 1; size = Math.floor(size / 2)) {
      now = repeat(now, differs, (some) => cuts(some, size));
    }
    now = repeat(now, differs, smallerNumbers);
    if (now === before) return now;
  }
}

/** Makes changes as long as one keeps the difference. */
function repeat(
  lines: readonly string[],
  differs: Differs,
  changesOf: (lines: readonly string[]) => readonly Change[],
): readonly string[] {
  for (let now = lines; ; ) {
    const changes = changesOf(now);
    if (changes.length === 0) return now;
    const answers = differs(changes.map((change) => apply(now, [change])));
    const good = changes.filter((_, i) => answers[i]);
    if (good.length === 0) return now;
    const together = apply(now, good);
    now = good.length > 1 && differs([together])[0] ? together : apply(now, good.slice(0, 1));
  }
}

function apply(lines: readonly string[], changes: readonly Change[]): readonly string[] {
  const changed = changes.reduce<readonly (string | null)[]>((some, change) => change(some), lines);
  return changed.filter((line) => line !== null);
}

/** Each run of `size` lines left out; the first line stays. */
function cuts(lines: readonly string[], size: number): Change[] {
  const changes: Change[] = [];
  for (let from = 1; from < lines.length; from += size) {
    changes.push((some) => some.map((line, i) => (i >= from && i < from + size ? null : line)));
  }
  return changes;
}

function smallerNumbers(lines: readonly string[]): Change[] {
  return lines.flatMap((line, index) => {
    // A direct transfer that is not aligned depends on the device.
    if (index === 0 || /^(file|dread|dwrite) /.test(line)) return [];
    return line.split(' ').flatMap((pair) => {
      const [key, text] = pair.split('=');
      const least = LEAST[key!];
      const value = Number(text);
      if (least === undefined || !(value > least)) return [];
      const values = [...new Set([least, Math.max(least, Math.floor(value / 2))])];
      return values.map((next) => replaceAt(index, pair, `${key}=${next}`));
    });
  });
}

/** Only where the pair still stands: another change may have been made to it. */
function replaceAt(index: number, pair: string, by: string): Change {
  return (some) => some.map((line, i) => (i === index && line !== null ? line.replace(` ${pair}`, ` ${by}`) : line));
}
