/** What the two sides tell each other by Sends: JSON texts, each short enough for one receive. */
import { Failed } from '../exit.ts';

/** Bytes of a receive. */
export const MESSAGE_SIZE = 256;

/** Fields of each message beside `what`; numbers are integers, 0 or more. */
interface Messages {
  /** First, from the side with the file: bytes of a round at most. */
  readonly hello: { readonly round: number };
  /** The answer: where a round goes. */
  readonly region: { readonly stag: number; readonly address: number; readonly length: number };
  /** A round was written. */
  readonly written: { readonly length: number };
  /** The answer: it was hashed, and may be read back and then written over. */
  readonly hashed: { readonly length: number };
  /** There are no more rounds: SHA-256 of the file. */
  readonly end: { readonly sha256: string };
  /** The answer: SHA-256 of what arrived. */
  readonly done: { readonly sha256: string };
}

/** The value says what type a field has. */
const SHAPES: Messages = {
  hello: { round: 0 },
  region: { stag: 0, address: 0, length: 0 },
  written: { length: 0 },
  hashed: { length: 0 },
  end: { sha256: '' },
  done: { sha256: '' },
};

type What = keyof Messages;
export type Message = { [W in What]: { readonly what: W } & Messages[W] }[What];

export function encodeMessage(message: Message): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** The message in `bytes`, which must be one of `expected`; Failed when it is not. */
export function decodeMessage<W extends What>(bytes: Uint8Array, ...expected: W[]): Extract<Message, { what: W }> {
  const text = Buffer.from(bytes).toString();
  const value = parse(text);
  const shape = expected.find((what) => what === value['what']);
  const good = shape !== undefined && Object.entries(SHAPES[shape]).every(([name, like]) => isLike(value[name], like));
  if (!good) throw new Failed(`the other side sent ${JSON.stringify(text)}, expected '${expected.join("' or '")}'`);
  return value as unknown as Extract<Message, { what: W }>;
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function isLike(value: unknown, like: unknown): boolean {
  return typeof like === 'string' ? typeof value === 'string' : Number.isSafeInteger(value) && (value as number) >= 0;
}
