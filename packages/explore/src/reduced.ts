/**
 * Depth first, but of schedules that differ only in the order of independent steps one is run: source-set dynamic partial
 * order reduction with sleep sets (Abdulla, Aronis, Jonsson, Sagonas, "Source Sets", JACM 2017; Flanagan, Godefroid, POPL
 * 2005). Which steps depend on each other comes from steps.ts; a happens-before order over them from vector clocks.
 *
 * A wait is a step that puts the task to sleep, so tasks block by their own steps and races between locks are races
 * between steps. Who wakes a task comes before its next step. Where a step makes another choice impossible (interrupts
 * off on its CPU, an event taken back), that choice is tried before the step.
 */
import { checkPrint, goOn } from './run.ts';
import type { Run, Strategy } from './run.ts';
import { dependent, wakes, Watch } from './steps.ts';
import type { Step } from './steps.ts';

/** A moment on the current path. JSON. */
interface Node {
  readonly choices: number[];
  readonly print: number;
  /** Choices that need not be tried here: what they lead to was seen before. */
  readonly sleep: Step[];
  /** Choices to be tried here. */
  readonly wanted: number[];
  /** Choices that have been tried. */
  readonly done: Step[];
  /** The choice on the current path. */
  taken: number;
}

export interface ReducedState {
  readonly kind: 'reduced';
  readonly nodes: Node[];
  /** Choices above this depth are other people's work: there all are tried. */
  readonly floor: number;
  ended: boolean;
  /** A run was cut off as a livelock: what it would have shown is not known. */
  cut: boolean;
}

export function reducedState(): ReducedState {
  return { kind: 'reduced', nodes: [], floor: 0, ended: false, cut: false };
}

/** Choices are below this (letters). */
const CHOICES = 128;

/** A step of the current run; `clock[c]`: the last step of choice c that happens before it or is it, −1 for none. */
interface Happened {
  readonly step: Step;
  readonly clock: Int32Array;
}

export class Reduced implements Strategy {
  readonly state: ReducedState;
  readonly goesOn: boolean;
  /** The steps of the current run. */
  private readonly happened: Happened[];
  private watch: Watch | null;
  /** By choice: the last step of it, and the step that made it possible; −1 for none. */
  private readonly lastOf: Int32Array;
  private readonly enabledBy: Int32Array;

  constructor(state: ReducedState) {
    this.state = state;
    this.goesOn = true;
    this.happened = [];
    this.watch = null;
    this.lastOf = new Int32Array(CHOICES);
    this.enabledBy = new Int32Array(CHOICES);
  }

  begin(): boolean {
    this.happened.length = 0;
    this.watch = null;
    this.lastOf.fill(-1);
    this.enabledBy.fill(-1);
    return !this.state.ended;
  }

  pick(run: Run): number {
    const { nodes } = this.state;
    const depth = run.path.length;
    this.settle(run);
    this.watch ??= new Watch(run.sched);
    if (depth < nodes.length) {
      checkPrint(run, nodes[depth]!.print);
    } else {
      const sleep = depth === 0 ? [] : this.sleepAfter(nodes[depth - 1]!, this.happened[depth - 1]!.step);
      const taken = firstAwake(run, sleep);
      if (taken < 0) return this.giveUp();
      nodes.push({ choices: run.choices.slice(), print: run.print, sleep, wanted: [taken], done: [], taken });
    }
    this.watch.before();
    return run.choices.indexOf(nodes[depth]!.taken);
  }

  end(run: Run): boolean {
    const { state } = this;
    this.settle(run);
    if (run.path.length < state.nodes.length) checkPrint(run, state.nodes[run.path.length]!.print);
    if (run.livelock) state.cut = true;
    run.wrong = run.wrong
      .filter((wrong) => this.isFirst(run, wrong.steps - 1))
      .map((wrong) => this.shortened(run, wrong));
    this.backtrack();
    return true;
  }

  /** All that is possible here sleeps: the run repeats an earlier one. */
  private giveUp(): number {
    this.backtrack();
    return -1;
  }

  /** To the deepest moment with a choice that is wanted and not tried. */
  private backtrack(): void {
    const { nodes, floor } = this.state;
    while (nodes.length > floor) {
      const depth = nodes.length - 1;
      const node = nodes[depth]!;
      node.done.push(this.happened[depth]!.step);
      const next = node.wanted.find((choice) => !has(node.done, choice) && !has(node.sleep, choice));
      if (next !== undefined) {
        node.taken = next;
        return;
      }
      nodes.pop();
    }
    this.state.ended = true;
  }

  /** Whoever slept at a moment or was tried there sleeps on after an independent step. */
  private sleepAfter(node: Node, step: Step): Step[] {
    return [...node.sleep, ...node.done].filter((sleeper) => sleeper.choice !== step.choice && !wakes(step, sleeper));
  }

  /** Takes down the last step of the run: its clock, and its races with earlier ones. */
  private settle(run: Run): void {
    const depth = this.happened.length;
    if (run.path.length === depth || this.watch === null) return;
    const step = this.watch.after(run);
    const { choice } = step;
    const clock = new Int32Array(CHOICES).fill(-1);
    this.join(clock, this.lastOf[choice]!);
    this.join(clock, this.enabledBy[choice]!);
    const here: Happened = { step, clock };
    for (let i = depth - 1; i >= 0; i--) {
      const earlier = this.happened[i]!;
      if (clock[earlier.step.choice]! >= i || !dependent(earlier.step, step)) continue;
      // Nothing between the two orders them: run the other way round, they may do something else.
      if (i >= this.state.floor) this.reverse(i, here);
      this.join(clock, i);
    }
    clock[choice] = depth;
    this.happened.push(here);
    this.lastOf[choice] = depth;
    this.compare(this.state.nodes[depth]!, run, depth);
  }

  /** What the step made possible or impossible. */
  private compare(node: Node, run: Run, depth: number): void {
    for (const choice of run.choices) {
      if (choice !== node.taken && !node.choices.includes(choice)) this.enabledBy[choice] = depth;
    }
    if (depth < this.state.floor) return;
    for (const choice of node.choices) {
      if (choice !== node.taken && !run.choices.includes(choice)) want(node, choice);
    }
  }

  private join(clock: Int32Array, step: number): void {
    if (step < 0) return;
    const other = this.happened[step]!.clock;
    for (let i = 0; i < CHOICES; i++) if (other[i]! > clock[i]!) clock[i] = other[i]!;
  }

  /** Makes sure that some run goes on before step `i` with what can come before it and leads to `late`. */
  private reverse(i: number, late: Happened): void {
    const node = this.state.nodes[i]!;
    const { choice } = this.happened[i]!.step;
    const between = this.happened.slice(i + 1).filter((happened) => happened.clock[choice]! < i);
    between.push(late);
    const initials: number[] = [];
    const seen = new Set<number>();
    for (const { step, clock } of between) {
      if (seen.has(step.choice)) continue;
      let free = true;
      for (const other of seen) if (clock[other]! > i) free = false;
      seen.add(step.choice);
      if (free) initials.push(step.choice);
    }
    if (initials.some((initial) => node.wanted.includes(initial))) return;
    const possible = initials.filter((initial) => node.choices.includes(initial));
    const asleep = possible.find((initial) => has(node.sleep, initial));
    if (possible.length === 0) for (const each of node.choices) want(node, each);
    else want(node, asleep ?? possible[0]!);
  }

  /** True when no failure comes before the step: another schedule may then fail with it first. */
  private isFirst(run: Run, step: number): boolean {
    const clock = this.happened[step]?.clock;
    if (clock === undefined) return true;
    return !run.wrong.some((other) => other.steps - 1 < step && clock[run.path[other.steps - 1]!]! >= other.steps - 1);
  }

  /** A failure that was not the first of its run: the schedule of those steps only that come before it. */
  private shortened<W extends { steps: number; message: string; path: readonly number[] }>(run: Run, wrong: W): W {
    if (wrong === (run.wrong[0] as unknown)) return wrong;
    const last = wrong.steps - 1;
    const { clock } = this.happened[last]!;
    return { ...wrong, path: wrong.path.filter((choice, step) => clock[choice]! >= step) };
  }
}

function has(steps: readonly Step[], choice: number): boolean {
  return steps.some((step) => step.choice === choice);
}

function want(node: Node, choice: number): void {
  if (!node.wanted.includes(choice)) node.wanted.push(choice);
}

/** The task that moved last if it may go on, else the first choice that does not sleep; −1 when all do. */
function firstAwake(run: Run, sleep: readonly Step[]): number {
  const on = goOn(run);
  const choices = on < 0 ? run.choices : [run.choices[on]!, ...run.choices];
  return choices.find((choice) => !has(sleep, choice)) ?? -1;
}
