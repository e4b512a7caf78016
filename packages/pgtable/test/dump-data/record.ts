/**
 * Records the dumps beside it: `node --conditions=@mmkit/source packages/pgtable/test/dump-data/record.ts`. Needs gcc,
 * objcopy and qemu-system-x86_64 (recorded with 7.2). Writes, of the guest in guest.S once it halts:
 *
 * - `x86_64.core.gz`: QEMU's dump-guest-memory of the second MiB, where the guest and its tables are (the first one holds
 *   the firmware);
 * - `x86_64.lime.gz`: the same memory in two ranges, laid out from LiME's specification;
 * - `x86_64.json`: CR3 and what QEMU's monitor says: gva2gpa, info tlb, info mem.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

const HERE = import.meta.dirname;
const CFLAGS =
  '-m64 -ffreestanding -nostdlib -static -no-pie -Wl,-N -Wl,--no-warn-rwx-segments -Wl,--build-id=none -Wl,-Ttext=0x100000';
const MACHINE =
  '-machine pc -cpu max -m 2M -nodefaults -vga none -display none -monitor none -qmp stdio -no-reboot -kernel';
const RAM_START = 0x10_0000;
const RAM_SIZE = 0x10_0000;
/** What LiME holds: first and last addresses. */
const LIME_RANGES: readonly (readonly [number, number])[] = [
  [0x10_0000, 0x10_bfff],
  [0x18_0000, 0x1f_ffff],
];
const PROBES: readonly string[] = [
  '0x0 0x100055 0x1fffff 0x200000 0x400000 0x400fff 0x401008 0x402000 0x403123 0x404000 0x405000 0x406abc 0x407000',
  '0x408000 0x409000 0x40a000 0x40b000 0x40c000 0x600000 0x7fffff 0x40000000 0x7fffffff 0x80000000 0x8000001008',
  '0x8000006000 0x960000000000 0xffff800000000000 0xffff800000001ff8 0xffff800000002080 0xffff800000200000',
  '0xffff8000003fffff 0xffff960000000000 0xffff968000000000 0xffffff7fbfdfe000 0xffffffff80000000',
  '0xffffffff80101000 0xffffffff801fffff 0xffffffff80200000',
].flatMap((line) => line.split(' '));

const folder = mkdtempSync(join(tmpdir(), 'record-dump-'));
const [program, flat, core, memory] = ['guest', 'guest.bin', 'core', 'memory'].map((name) => join(folder, name));
try {
  execFileSync('gcc', [...CFLAGS.split(' '), '-o', program!, join(HERE, 'guest.S')]);
  execFileSync('objcopy', ['-O', 'binary', program!, flat!]);

  const qemu = spawn('qemu-system-x86_64', [...MACHINE.split(' '), flat!], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(qemu.stdout)[Symbol.asyncIterator]();
  const ask = async (execute: string, args: object): Promise<unknown> => {
    qemu.stdin.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for (;;) {
      const { value } = await lines.next();
      const answer = JSON.parse(value as string) as Record<string, unknown>;
      if ('error' in answer) throw new Error(value as string);
      if ('return' in answer) return answer['return'];
    }
  };
  const monitor = async (command: string): Promise<string[]> => {
    const text = (await ask('human-monitor-command', { 'command-line': command })) as string;
    return text.split('\r\n').filter((line) => line !== '');
  };
  const registers = async (): Promise<string> => (await monitor('info registers')).join(' ');

  await ask('qmp_capabilities', {});
  while (!/EFER=0000000000000d00/.test(await registers()) || !/HLT=1/.test(await registers())) await setTimeout(100);
  const gva2gpa: [string, string | null][] = [];
  for (const va of PROBES) {
    const [answer] = await monitor(`gva2gpa ${va}`);
    gva2gpa.push([va, /^gpa: ((0x)?[0-9a-f]+)$/.exec(answer!)?.[1]?.replace(/^0$/, '0x0') ?? null]);
  }
  const tlb = (await monitor('info tlb')).map((line) => line.split(/:? +/));
  const mem = (await monitor('info mem')).map((line) => line.split(/[ -]/, 2).concat(line.slice(-3)));
  const cr3 = `0x${/CR3=([0-9a-f]+)/.exec(await registers())![1]!.replace(/^0+/, '')}`;
  await ask('dump-guest-memory', { paging: false, protocol: `file:${core}`, begin: RAM_START, length: RAM_SIZE });
  await ask('pmemsave', { val: RAM_START, size: RAM_SIZE, filename: memory });
  await ask('quit', {});

  const ram = readFileSync(memory!);
  const lime = LIME_RANGES.flatMap(([first, last]) => {
    const header = Buffer.alloc(32);
    header.writeUInt32LE(0x4c69_4d45, 0);
    header.writeUInt32LE(1, 4);
    header.writeBigUInt64LE(BigInt(first), 8);
    header.writeBigUInt64LE(BigInt(last), 16);
    return [header, ram.subarray(first - RAM_START, last + 1 - RAM_START)];
  });
  writeFileSync(join(HERE, 'x86_64.core.gz'), gzipSync(readFileSync(core!), { level: 9 }));
  writeFileSync(join(HERE, 'x86_64.lime.gz'), gzipSync(Buffer.concat(lime), { level: 9 }));
  const said = [
    `{"cr3": "${cr3}",`,
    ...Object.entries({ gva2gpa, tlb, mem }).map(
      ([key, list]) => `"${key}": [\n${list.map((row) => JSON.stringify(row)).join(',\n')}\n],`,
    ),
  ].join('\n');
  writeFileSync(join(HERE, 'x86_64.json'), `${said.slice(0, -1)}}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
