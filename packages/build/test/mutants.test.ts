/** The list of mutations fits the tree; applying them is `npm run mutants`. */
import { describe, expect, it } from 'vitest';
import { drift, tableRows } from '../mutants.mjs';
import { ROOT, Tree } from './tree.ts';

describe('mutations', () => {
  it('each replaces what stands once in its file, and names a test there is; each row of the tables has one, or says why not', () => {
    expect(drift(ROOT)).toEqual([]);
    expect(tableRows().length).toBe(82);
  });

  const good = { row: 'A.16 #1', file: 'a.ts', from: 'one', to: '1', test: 'a.test.ts', title: 'A.16 #1: nothing' };
  const tree = (): string =>
    new Tree({ 'a.ts': 'one two two', 'a.test.ts': "it('A.16 #1: nothing')\nit('A.16 #11: x')" }).root;
  const check = (mutation: Partial<typeof good>, others = {}, rows = ['A.16 #1']): string[] =>
    drift(tree(), [{ ...good, ...mutation }], others, rows);

  it('a good one', () => expect(check({})).toEqual([]));

  it.each([
    ['text that is gone', { from: 'three' }, 'A.16 #1: a.ts has this 0 times: three'],
    ['text that stands twice', { from: 'two' }, 'A.16 #1: a.ts has this 2 times: two'],
    ['a file that is gone', { file: 'b.ts' }, 'A.16 #1: b.ts has this 0 times: one'],
    ['a change that is none', { to: 'one' }, 'A.16 #1: changes nothing'],
    ['a title that is gone', { title: 'A.16 #1: all' }, 'A.16 #1: a.test.ts has no test titled A.16 #1: all'],
    ["another row's title", { title: 'A.16 #11: x' }, 'A.16 #1: not in the title A.16 #11: x'],
  ])('%s', (_, mutation, expected) => expect(check(mutation)).toEqual([expected]));

  it('rows: unknown, without a mutation, with one and yet elsewhere', () => {
    expect(check({}, {}, ['A.16 #1', 'A.16 #2'])).toEqual(['A.16 #2: neither a mutation nor elsewhere']);
    expect(check({}, { 'A.16 #1': 'swap' })).toEqual(['A.16 #1: both held and elsewhere']);
    expect(check({}, { 'A.16 #2': 'swap' }, ['A.16 #2'])).toEqual(['A.16 #1: no such row']);
  });
});
