/** `npm start`: the tour. A 64 MiB file through pinned pages, then the litmus tests, in words for a newcomer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { EXIT_FAILED, EXIT_OK } from './exit.ts';
import { litmusCommand } from './litmus/command.ts';
import { odirectCommand } from './odirect/command.ts';

const FILE_SIZE = 64 << 20;

export function startCommand(print: (text: string) => void): number {
  const folder = mkdtempSync(join(tmpdir(), 'pinlab-'));
  try {
    const file = join(folder, 'file');
    writeFileSync(file, randomBytes(FILE_SIZE));
    print('1. A real file of 64 MiB, read by emulated O_DIRECT into a simulated process and written out again.\n');
    const copied = odirectCommand(file, { bs: '131072', qd: '8', offset: '0', arch: 'x86_64' }, print);
    print('\n2. Can fork steal a page from under a device? Every schedule of two tasks, tried.\n');
    const explored = litmusCommand([], {}, print);
    const good = copied === EXIT_OK && explored === EXIT_OK;
    print(good ? SUMMARY : '\nSomething above is not as it should be.');
    return good ? EXIT_OK : EXIT_FAILED;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const SUMMARY = `
What you saw: a device wrote into a process's memory only through page frames that a pin had given it, as in Linux;
nothing leaked; and the race between pinning and fork is lost in some schedules without Linux's write-protect sequence,
in none with it.

Try next (after the build, without pnpm):
  node_modules/.bin/node apps/pinlab/dist/main.js odirect README.md --bs 4096
  node_modules/.bin/node apps/pinlab/dist/main.js litmus fork-no-seq
  node_modules/.bin/node apps/pinlab/dist/main.js litmus fork-no-seq --schedule S    (S: the schedule it printed)`;
