/** Files of recorded traces: JSON Lines, a trace with its output each, compressed or not. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { BadInput } from './exit.ts';

/** One recorded trace. */
export interface Recording {
  readonly id: string;
  /** How many operations it has. */
  readonly ops: number;
  /** The text of the trace. */
  readonly trace: string;
  /** What the kernel did. */
  readonly out: string;
}

/** The bytes of a file as text, unpacked if they are gzip. BadInput when it cannot be read. */
export function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new BadInput(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.toString('utf8');
  try {
    return gunzipSync(bytes).toString('utf8');
  } catch {
    throw new BadInput(`${path}: expected a whole gzip file`);
  }
}

/** The recordings of a file. BadInput with the line for one that is none. */
export function parseRecordings(path: string, text: string): Recording[] {
  const recordings: Recording[] = [];
  text.split('\n').forEach((line, index) => {
    if (line === '') return;
    const recording = parseRecording(line);
    if (recording === null) {
      throw new BadInput(`${path}: line ${index + 1}: expected {"id":…,"ops":…,"trace":…,"out":…}`);
    }
    recordings.push(recording);
  });
  if (recordings.length === 0) throw new BadInput(`${path}: line 1: expected {"id":…,"ops":…,"trace":…,"out":…}`);
  return recordings;
}

/** A recording as the files have it, blanks included: equal ones are equal to the byte. */
export function recordingText({ id, ops, trace, out }: Recording): string {
  const text = JSON.stringify;
  return `{"id": ${text(id)}, "ops": ${ops}, "trace": ${text(trace)}, "out": ${text(out)}}`;
}

function parseRecording(line: string): Recording | null {
  try {
    const { id, ops, trace, out } = JSON.parse(line) as Partial<Recording>;
    const whole = typeof id === 'string' && typeof ops === 'number' && typeof trace === 'string';
    return whole && typeof out === 'string' ? { id, ops, trace, out } : null;
  } catch {
    return null;
  }
}
