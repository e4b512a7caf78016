/**
 * Lists one root of a sparse raw dump of 1 GiB, from a file: `node --conditions=@mmkit/source packages/pgtable/bench/dump.ts`.
 * The root maps every page of the dump by itself, 262,144 of them, in 515 tables that lie all over it. Prints seconds and
 * the resident memory of the process at its highest.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { x86_64 } from '@mmkit/pgtable';
import { dumpMemory, listMappings, openDump } from '@mmkit/pgtable/dump';
import { closeSource, openSource } from '@mmkit/pgtable/node';

const SIZE = 2 ** 30;
const PAGE = 4096;
const ENTRIES = 512;
const TABLE = 0x67n;
const LEAF = 0x8000_0000_0000_0067n;
/** Between two leaf tables, so that the file stays sparse. */
const STRIDE = 0x20_0000;
const LEAF_TABLES = 0x1000;

/** Writes a table with `entries` at `address`. */
function writeTable(fd: number, address: number, entries: readonly bigint[]): void {
  writeSync(fd, BigUint64Array.from(entries), 0, entries.length * 8, address);
}

const folder = mkdtempSync(join(tmpdir(), 'dump-bench-'));
try {
  const path = join(folder, 'memory');
  const fd = openSync(path, 'w');
  ftruncateSync(fd, SIZE);
  const [root, pud, pmd] = [0x10_0000, 0x11_0000, 0x12_0000];
  writeTable(fd, root!, [BigInt(pud!) | TABLE]);
  writeTable(fd, pud!, [BigInt(pmd!) | TABLE]);
  const leafTables = Array.from({ length: ENTRIES }, (_, i) => LEAF_TABLES + i * STRIDE);
  writeTable(
    fd,
    pmd!,
    leafTables.map((table) => BigInt(table) | TABLE),
  );
  leafTables.forEach((table, i) => {
    const pages = Array.from({ length: ENTRIES }, (_, j) => BigInt((i * ENTRIES + j) * PAGE) | LEAF);
    writeTable(fd, table, pages);
  });
  closeSync(fd);

  const start = process.hrtime.bigint();
  const source = openSource(path);
  const dump = openDump(source);
  let pages = 0;
  for (const { pfn } of listMappings(x86_64, dumpMemory(dump, x86_64.pageShift), BigInt(root!))) {
    if (pfn !== pages++) throw new Error(`page ${pages - 1} is at frame ${pfn}`);
  }
  closeSource(source);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const mebibytes = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${pages} mappings of a 1 GiB dump in ${seconds.toFixed(3)} s, ${mebibytes.toFixed(0)} MiB resident at most`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
