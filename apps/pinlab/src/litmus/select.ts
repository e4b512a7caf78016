/** Which tests are meant: those of the repository by name, or all that a file of the user's exports. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isLitmusTest, type LitmusTest } from '@mmkit/explore';
import { archFormat } from '../arch.ts';
import { BadInput } from '../exit.ts';
import { allTests } from './tests.ts';

/** Where a test comes from: what a worker needs to find it again. */
export interface Source {
  /** Path of the user's file; null: the repository. */
  readonly file: string | null;
  readonly arch: string;
  readonly name: string;
}

/** A test and where it comes from. */
export interface Selected {
  readonly source: Source;
  readonly test: LitmusTest;
}

const FILE = /\.[cm]?[jt]s$/;

/** The tests of `names`: names and files; without any, all of the repository. BadInput for what does not exist. */
export async function selectTests(names: readonly string[], arch: string): Promise<Selected[]> {
  const own = allTests(archFormat(arch)).map(
    (test): Selected => ({ source: { file: null, arch, name: test.name }, test }),
  );
  if (names.length === 0) return own;
  const selected: Selected[] = [];
  for (const name of names) {
    if (FILE.test(name)) {
      const tests = await loadTests(name);
      selected.push(...tests.map((test) => ({ source: { file: name, arch, name: test.name }, test })));
    } else {
      const found = own.find(({ test }) => test.name === name);
      if (found === undefined) {
        throw new BadInput(`no litmus test '${name}'; there are: ${own.map(({ test }) => test.name).join(', ')}`);
      }
      selected.push(found);
    }
  }
  return selected;
}

/** The test again, in another thread. */
export async function findTest({ file, arch, name }: Source): Promise<LitmusTest> {
  const tests = file === null ? allTests(archFormat(arch)) : await loadTests(file);
  return tests.find((test) => test.name === name)!;
}

/** What `file` exports: tests, or arrays of them. */
async function loadTests(file: string): Promise<LitmusTest[]> {
  const tests = Object.values(await load(file))
    .flat()
    .filter(isLitmusTest);
  if (tests.length === 0) throw new BadInput(`${file}: exports no litmus test`);
  const twice = tests.find((test, i) => tests.findIndex(({ name }) => name === test.name) < i);
  if (twice !== undefined) throw new BadInput(`${file}: two litmus tests are named '${twice.name}'`);
  return tests;
}

async function load(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new BadInput(`cannot load ${file}: ${message.split('\n')[0]!}`);
  }
}
