import { type Phys, createPhys } from '@mmkit/phys';
import { allocRoot, createTables, type Format, type Tables } from '@mmkit/pgtable';

export interface Machine {
  phys: Phys;
  tables: Tables;
  root: number;
}

/** A machine of `frames` frames with one empty root table. */
export function createMachine(format: Format, frames = 256, shared = false): Machine {
  const pageSize = 2 ** format.pageShift;
  if (pageSize !== 4096 && pageSize !== 16384 && pageSize !== 65536) throw new Error('page size');
  const phys = createPhys({ frames, pageSize, shared });
  const tables = createTables(phys, format);
  return { phys, tables, root: allocRoot(tables) };
}

/** The `code` of the InvariantError `run` throws; undefined when it throws none. */
export function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}
