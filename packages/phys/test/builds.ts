/** The package in both builds; the sched build's coloured functions run to their end here, for nobody else runs. */
import type { Task } from '@mmkit/base';
import * as plain from '../src/index.ts';
import * as coloured from '../src/sched.ts';

type Driven<M> = {
  [K in keyof M]: M[K] extends (...args: infer A) => Task<infer R> ? (...args: A) => R : M[K];
};

/** One build: its coloured functions as ordinary ones, and ports in its form. */
export interface Build extends Driven<typeof coloured> {
  readonly name: string;
  /** A port of this build that does what `call` does. */
  port<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => R | Task<R>;
}

function run<R>(task: Task<R>): R {
  for (;;) {
    const step = task.next();
    if (step.done === true) return step.value;
  }
}

function drive<M extends object>(module: M): Driven<M> {
  const driven = Object.entries(module).map(([name, value]: [string, unknown]) => {
    const call = value as (...args: unknown[]) => Task<unknown>;
    return [name, (...args: unknown[]) => run(call(...args))];
  });
  return Object.fromEntries(driven) as Driven<M>;
}

/** Both builds, for `describe.each`. */
export const BUILDS: readonly Build[] = [
  { name: 'plain', ...plain, port: (call) => call },
  {
    name: 'sched',
    ...drive(coloured),
    port: (call) =>
      function* port(...args) {
        return call(...args);
      },
  },
];
