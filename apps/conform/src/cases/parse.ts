/** Files of cases (apps/conform/data/cases/LANGUAGE.md): each a setup, actions, and what a kernel answered to them. */
import { BadInput } from '../exit.ts';

/** One step: `p1.mprotect A 0 1 r`. */
export interface Step {
  /** As it stands in the file, without what it should answer. */
  readonly text: string;
  /** Number of the process that runs it. */
  readonly process: number;
  readonly verb: string;
  readonly args: readonly string[];
  /** What the kernel answered. */
  readonly expected: string;
}

/** A kernel that cases were recorded on. */
export type Kernel = '6.18' | '6.12';

export interface Case {
  readonly id: string;
  /** The first word of the id. */
  readonly area: string;
  readonly observedOn: Kernel;
  readonly setup: readonly Step[];
  readonly action: readonly Step[];
}

export const KERNELS: readonly Kernel[] = Object.freeze(['6.18', '6.12']);

/** The kernel that a name like `linux-6.18.44 x86-64` means; null: none we know. */
function kernelOf(name: unknown): Kernel | null {
  return KERNELS.find((kernel) => typeof name === 'string' && name.startsWith(`linux-${kernel}`)) ?? null;
}

/** The cases of a file, as `kernel` answered, or each as the kernel it was observed on. BadInput names file and case. */
export function parseCases(path: string, text: string, kernel: Kernel | null): Case[] {
  const list = fieldOf(jsonOf(path, text), 'cases');
  if (!Array.isArray(list)) throw new BadInput(`${path}: expected {"format":"mmx-cases/1","cases":[…]}`);
  return list.map((one: unknown, index) => {
    const id = fieldOf(one, 'id');
    return parseCase(`${path}: case ${typeof id === 'string' ? id : String(index)}`, one, kernel);
  });
}

function jsonOf(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadInput(`${path}: expected a JSON document of cases`);
  }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function parseCase(where: string, value: unknown, kernel: Kernel | null): Case {
  const id = fieldOf(value, 'id');
  const setup = fieldOf(value, 'setup');
  const action = fieldOf(value, 'action');
  const expect = fieldOf(value, 'expect');
  const observedOn = kernelOf(fieldOf(value, 'observedOn'));
  if (typeof id !== 'string') throw new BadInput(`${where}: expected an "id"`);
  if (observedOn === null)
    throw new BadInput(`${where}: expected "observedOn" one of linux-${KERNELS.join(', linux-')}`);
  if (!isTexts(setup) || !isTexts(action) || !Array.isArray(expect)) {
    throw new BadInput(`${where}: expected "setup", "action" and "expect"`);
  }
  const answers = new Map<number, string>();
  setup.forEach((text, i) => answers.set(i - setup.length, text.split(' => ')[1] ?? 'ok'));
  noteAnswers(where, expect, answers);
  const differs = fieldOf(value, 'differsOn') ?? {};
  for (const [name, list] of Object.entries(differs)) {
    if (kernel !== null && kernelOf(name) === kernel) noteAnswers(where, list, answers);
  }
  action.forEach((text, i) => {
    if (!answers.has(i)) throw new BadInput(`${where}: step ${i} (${text}): expected an answer in "expect"`);
  });
  return {
    id,
    area: id.split('.')[0]!,
    observedOn,
    setup: setup.map((text, i) => parseStep(where, text.split(' => ')[0]!, answers.get(i - setup.length)!)),
    action: action.map((text, i) => parseStep(where, text, answers.get(i)!)),
  };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** Notes what steps answered; those of the setup have negative numbers. */
function noteAnswers(where: string, list: unknown, answers: Map<number, string>): void {
  for (const one of Array.isArray(list) ? list : [list]) {
    const step = fieldOf(one, 'step');
    const result = fieldOf(one, 'result');
    if (typeof step !== 'number' || typeof result !== 'string')
      throw new BadInput(`${where}: expected {"step":N,"result":TEXT}`);
    answers.set(step, result);
  }
}

function parseStep(where: string, text: string, expected: string): Step {
  const words = text.split(' ').filter((word) => word !== '');
  const [, process = '0', verb = ''] = /^(?:p(\d+)\.)?(\S+)$/.exec(words[0] ?? '') ?? [];
  if (verb === '') throw new BadInput(`${where}: expected a step, got "${text}"`);
  return { text, process: Number(process), verb, args: words.slice(1), expected };
}
