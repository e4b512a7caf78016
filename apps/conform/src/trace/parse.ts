/** From the text of a trace to its header and operations; BadInput with the line for a malformed one. */
import { BadInput } from '../exit.ts';
import { isProt, keyKind, OPS } from './ops.ts';
import type { Op } from './ops.ts';

/** A file that exists before the first process starts. */
export interface FileSpec {
  readonly id: number;
  readonly kind: string;
  /** Its size. */
  readonly pages: number;
  /** 0: a hole; else page k is filled with byte (fill + k) & 255. */
  readonly fill: number;
}

export interface Trace {
  readonly profile: string;
  /** Pages of the arena. */
  readonly pages: number;
  /** Who gets huge pages. */
  readonly thp: 'never' | 'madvise';
  /** Observe after each operation, or only where the trace says so. */
  readonly observeEach: boolean;
  /** The device that is swapped to: none, zram or loop. */
  readonly swap: string;
  /** Pages of 2 MiB in the pool; −1: the trace has no pool. */
  readonly hugepages: number;
  readonly files: readonly FileSpec[];
  readonly ops: readonly Op[];
}

/** Slots of each kind. */
const MAX_FILES = 8;
/** Most pages of an arena: 1 TiB, as much as there is room for above it. */
const MAX_PAGES = 2 ** 28;

/** Parses a trace. BadInput: `line N: expected …, got …`. */
export function parseTrace(text: string): Trace {
  let head: Fields | null = null;
  const files: FileSpec[] = [];
  const ops: Op[] = [];
  text.split('\n').forEach((line, index) => {
    if (line === '' || line.startsWith('#')) return;
    const fields = new Fields(index + 1, line);
    if (head === null) {
      if (fields.word !== 'trace') fields.fail('"trace v=1 …"', line);
      checkHead(fields);
      head = fields;
    } else if (fields.word === 'file') {
      if (ops.length > 0) fields.fail('an operation (files come before the first)', line);
      files.push(parseFile(fields, files));
    } else {
      ops.push(parseOp(fields, line));
    }
  });
  const fields = head as Fields | null;
  if (fields === null) throw new BadInput('line 1: expected "trace v=1 …", got the end');
  return {
    profile: fields.texts.get('profile')!,
    pages: fields.integer('pages'),
    thp: fields.texts.get('thp') === 'madvise' ? 'madvise' : 'never',
    observeEach: fields.texts.get('observe') === 'each',
    swap: fields.texts.get('swap') ?? 'none',
    hugepages: fields.texts.has('hugepages') ? fields.integer('hugepages') : -1,
    files,
    ops,
  };
}

/** A line cut into its word and its key=value pairs. */
class Fields {
  readonly line: number;
  readonly word: string;
  readonly texts: Map<string, string>;

  constructor(line: number, text: string) {
    this.line = line;
    const [word, ...pairs] = text.split(' ');
    this.word = word!;
    this.texts = new Map();
    for (const pair of pairs) {
      const [, key, value] = /^([a-z]+)=(\S+)$/.exec(pair) ?? this.fail('key=value', pair);
      if (this.texts.has(key!)) this.fail(`${key} once`, pair);
      this.texts.set(key!, value!);
    }
  }

  fail(expected: string, got: string): never {
    throw new BadInput(`line ${this.line}: expected ${expected}, got ${got === '' ? 'nothing' : JSON.stringify(got)}`);
  }

  /** The integer of `key` (decimal, 0x hex or 0 octal); `absent` when there is none. */
  integer(key: string, absent: number = 0): number {
    const text = this.texts.get(key);
    if (text === undefined) return absent;
    const [, sign, digits] = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text) ?? [];
    const value = digits === undefined ? NaN : Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
    if (!Number.isSafeInteger(value)) this.fail(`${key}=integer`, `${key}=${text}`);
    return sign === '-' ? 0 - value : value;
  }

  /** The integer of `key`, which must be there, in [min, max]. */
  between(key: string, min: number, max: number): number {
    const value = this.integer(key, NaN);
    if (!(value >= min && value <= max)) this.fail(`${key}=${min}..${max}`, `${key}=${this.texts.get(key) ?? ''}`);
    return value;
  }

  oneOf(key: string, words: readonly string[]): void {
    const text = this.texts.get(key) ?? '';
    if (!words.includes(text)) this.fail(`${key}=${words.join('|')}`, `${key}=${text}`);
  }

  /** Only these keys. */
  only(keys: readonly string[]): void {
    for (const key of this.texts.keys()) if (!keys.includes(key)) this.fail(`${this.word} without ${key}`, key);
  }
}

function checkHead(fields: Fields): void {
  fields.only(['v', 'profile', 'seed', 'pages', 'thp', 'observe', 'swap', 'hugepages']);
  fields.between('v', 1, 1);
  fields.between('pages', 1, MAX_PAGES);
  fields.integer('seed');
  if (!fields.texts.has('profile')) fields.fail('profile=NAME', '');
  fields.oneOf('thp', ['never', 'madvise']);
  fields.oneOf('observe', ['each', 'explicit']);
  if (fields.texts.has('swap')) fields.oneOf('swap', ['none', 'zram', 'loop']);
  if (fields.texts.has('hugepages')) fields.between('hugepages', 0, 1 << 20);
}

function parseFile(fields: Fields, before: readonly FileSpec[]): FileSpec {
  fields.only(['id', 'kind', 'pages', 'fill']);
  fields.oneOf('kind', ['memfd', 'tmpfs', 'ext4', 'hugetlb']);
  const id = fields.between('id', 0, MAX_FILES - 1);
  if (before.some((file) => file.id === id)) fields.fail('an id that no other file has', `id=${id}`);
  return {
    id,
    kind: fields.texts.get('kind')!,
    pages: fields.between('pages', 0, 1 << 20),
    fill: fields.between('fill', 0, 255),
  };
}

function parseOp(fields: Fields, text: string): Op {
  const spec = Object.hasOwn(OPS, fields.word) ? OPS[fields.word]! : fields.fail('an operation', fields.word);
  fields.only(['p', ...spec.map((key) => key.replace('?', ''))]);
  let words: readonly string[] = [];
  for (const key of spec) {
    const name = key.replace('?', '');
    const text = fields.texts.get(name);
    const kind = keyKind(fields.word, name);
    if (text === undefined) {
      if (!key.endsWith('?')) fields.fail(`${fields.word} with ${name}=`, '');
    } else if (name === 'prot') {
      if (!isProt(text)) fields.fail('prot=none or letters of rwxG', `prot=${text}`);
    } else if (kind !== 'integer') {
      const list = 'one' in kind ? kind.one : kind.some;
      words = 'one' in kind ? [text] : text.split(',');
      for (const word of words) if (!list.includes(word)) fields.fail(`${name}: one of ${list.join(' ')}`, word);
    }
  }
  return {
    name: fields.word,
    text,
    p: fields.integer('p'),
    at: fields.texts.has('at') ? fields.integer('at') : null,
    n: fields.integer('n', 1),
    o: fields.integer('o'),
    len: fields.integer('len'),
    off: fields.integer('off'),
    size: fields.integer('size'),
    f: fields.integer('f', -1),
    s: fields.integer('s'),
    v: fields.integer('v'),
    c: fields.integer('c'),
    old: fields.integer('old'),
    new: fields.integer('new'),
    to: fields.integer('to'),
    from: fields.integer('from'),
    onfault: fields.integer('onfault'),
    words,
    prot: fields.texts.get('prot') ?? '',
  };
}
