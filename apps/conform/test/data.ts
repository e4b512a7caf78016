/** The recorded traces, and a sample of them. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fnv1a } from '../src/digest.ts';
import { parseRecordings, readText } from '../src/records.ts';
import type { Recording } from '../src/records.ts';

export const DATA: string = resolve(import.meta.dirname, '../data/traces');

/** The profiles there are recordings of. */
export const PROFILES: readonly string[] = readdirSync(DATA)
  .filter((name) => name.endsWith('.jsonl.gz'))
  .map((name) => name.replace('.jsonl.gz', ''))
  .sort();

/** All recordings of a profile. */
export function recordings(profile: string): Recording[] {
  const path = resolve(DATA, `${profile}.jsonl.gz`);
  return parseRecordings(path, readText(path));
}

/** About one in `one` of them, drawn by the hash of the id: always the same. */
export function sample(profile: string, one: number): Recording[] {
  return recordings(profile).filter(({ id }) => fnv1a(new TextEncoder().encode(id)) % one === 0);
}
