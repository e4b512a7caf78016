/** `conform mmu --live`: fresh random images on QEMU's MMU, against our walker. */
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../../exit.ts';
import { answerCase } from '../answer.ts';
import type { Ram } from '../answer.ts';
import { differenceText, writeLines } from '../command.ts';
import { compareCase } from '../compare.ts';
import type { Difference } from '../compare.ts';
import { Figures, groupsTable } from '../figures.ts';
import { FORMAT } from '../format.ts';
import type { Case } from '../format.ts';
import { generateCase } from './generate.ts';
import { Qemu } from './qemu.ts';
import type { LiveArch } from './qemu.ts';
import { reduceCase } from './reduce.ts';

export interface LiveOptions {
  readonly live?: boolean;
  readonly arch?: string;
  readonly seed: string;
  readonly count: string;
  readonly json?: boolean;
  readonly out?: string;
}

const ARCHES: readonly LiveArch[] = ['x86_64', 'aarch64'];
/** Cases of one run of the guest at most. */
const BATCH = 1000;
/** Differences that are reduced; more of them have few causes. */
const MAX_REDUCED = 50;

/** A difference with the case that shows it, as a line of a probe file. */
export interface Found extends Difference {
  readonly case: Case;
}

/** Runs `count` cases for each architecture and prints the differences; returns the exit code. BadInput without QEMU. */
export function liveCommand(
  options: LiveOptions,
  print: (text: string) => void,
  write: (path: string, text: string) => void,
): number {
  const seed = integer('--seed', options.seed, 0);
  const count = integer('--count', options.count, 1);
  const arches = ARCHES.filter((arch) => options.arch === undefined || options.arch === arch);
  if (arches.length === 0) throw new BadInput(`--arch: expected ${ARCHES.join(' or ')}, got ${options.arch}`);
  // All machines are there before the first one runs.
  const machines: Qemu[] = [];
  const figures = new Figures();
  const found: Found[] = [];
  const lines: string[] = [];
  try {
    for (const arch of arches) machines.push(new Qemu(arch));
    for (const machine of machines) {
      lines.push(JSON.stringify({ format: FORMAT, arch: machine.arch, backend: machine.name, cases: count }));
      for (let from = 0; from < count; from += BATCH) {
        const length = Math.min(BATCH, count - from);
        const cases = Array.from({ length }, (_, i) => generateCase(machine.arch, seed, from + i));
        found.push(...runCases(machine, cases, figures, lines));
      }
    }
  } finally {
    for (const machine of machines) machine.close();
  }
  if (options.out !== undefined) writeLines(options.out, lines, write);
  const groups = figures.list();
  if (options.json === true) print(`${JSON.stringify({ seed, count, groups, differences: found }, null, 2)}\n`);
  else print(`${groupsTable(groups)}\n${found.map(foundText).join('')}`);
  return exitCode(found);
}

export function exitCode(found: readonly Found[]): number {
  return found.length === 0 ? EXIT_OK : EXIT_DIFFERENT;
}

/** Runs cases on a machine; adds to the figures and to the lines of a probe file. */
export function runCases(
  machine: Pick<Qemu, 'arch' | 'run'>,
  cases: readonly Case[],
  figures: Figures,
  lines: string[],
): Found[] {
  const { arch } = machine;
  const ram: Ram = new Map();
  const results = machine.run(cases);
  const found = cases.flatMap((plain, i) => {
    const one = { ...plain, results: results[i]! };
    lines.push(JSON.stringify(one));
    const differences = compareCase(arch, one, answerCase(arch, one, ram));
    figures.add(arch, one, differences.length);
    return differences.map((difference) => ({ ...difference, case: oneProbe(one, difference.index) }));
  });
  // The smallest image is asked again: the words left out may have mattered to QEMU alone.
  const whole = found.slice(0, MAX_REDUCED);
  if (whole.length === 0) return found;
  const reduced = whole.map((one) => reduceCase(arch, one.case, ram));
  const again = machine.run(reduced);
  const smaller = whole.map((one, i) => {
    const small = { ...reduced[i]!, results: again[i]! };
    return compareCase(arch, small, answerCase(arch, small, ram)).length > 0 ? { ...one, case: small } : one;
  });
  return [...smaller, ...found.slice(MAX_REDUCED)];
}

/** The case with one of its probes. */
function oneProbe(one: Case, index: number): Case {
  return { ...one, probes: [one.probes[index]!], results: [one.results![index]!] };
}

function foundText(found: Found): string {
  return `${differenceText(found).trimEnd()}, case ${JSON.stringify(found.case)}\n`;
}

function integer(name: string, value: string, min: number): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= min) return number;
  throw new BadInput(`${name}: expected an integer from ${min}, got ${value}`);
}
