/** `npm start`: the tour. A 64 MiB file through pinned pages, to another machine, then the litmus tests, for a newcomer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { archFormat, DEFAULT_ARCH } from './arch.ts';
import { EXIT_FAILED, EXIT_OK } from './exit.ts';
import { litmusCommand } from './litmus/command.ts';
import { litmusTests } from './litmus/tests.ts';
import { odirectCommand } from './odirect/command.ts';
import { rdmaCommand } from './rdma/command.ts';

const FILE_SIZE = 64 << 20;
const ARCHITECTURES: readonly string[] = ['x86_64', 'arm64'];

export async function startCommand(print: (text: string) => void): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'pinlab-'));
  try {
    const file = join(folder, 'file');
    writeFileSync(file, randomBytes(FILE_SIZE));
    print('1. A real file of 64 MiB, read by emulated O_DIRECT into a simulated process and written out again.');
    let copied = true;
    for (const arch of ARCHITECTURES) {
      print(`\n${arch}:`);
      copied = odirectCommand(file, { bs: '131072', qd: '8', offset: '0', arch }, print) === EXIT_OK && copied;
    }
    print(
      '\n2. The same file by RDMA: a second process is another simulated machine; iWARP over loopback TCP between them.',
    );
    let sent = true;
    for (const arch of ARCHITECTURES) {
      print(`\n${arch}:`);
      const options = { port: '0', ram: '16', arch, timeout: '30000' };
      sent = (await rdmaCommand(file, options, print)) === EXIT_OK && sent;
    }
    print('\n3. Can fork steal a page from under a device? Every schedule of two tasks, tried.\n');
    const explored = await litmusCommand(TOUR_TESTS, { arch: DEFAULT_ARCH }, print);
    const good = copied && sent && explored === EXIT_OK;
    print(good ? SUMMARY : '\nSomething above is not as it should be.');
    return good ? EXIT_OK : EXIT_FAILED;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The litmus tests of the tour. */
const TOUR_TESTS: readonly string[] = litmusTests(archFormat(DEFAULT_ARCH)).map((test) => test.name);

const SUMMARY = `
What you saw: devices wrote into a process's memory only through page frames that a pin had given them, as in Linux;
nothing leaked; and the race between pinning and fork is lost in some schedules without Linux's write-protect sequence,
in none with it.

Try next (after the build, without pnpm):
  node_modules/.bin/node apps/pinlab/dist/main.js odirect README.md --bs 4096
  node_modules/.bin/node apps/pinlab/dist/main.js rdma README.md --arch arm64
  node_modules/.bin/node apps/pinlab/dist/main.js rdma --story
  node_modules/.bin/node apps/pinlab/dist/main.js litmus fork-no-seq --arch arm64
  node_modules/.bin/node apps/pinlab/dist/main.js litmus fork-no-seq --schedule S    (S: the schedule it printed)`;
