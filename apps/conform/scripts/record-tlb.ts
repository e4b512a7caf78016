/**
 * Records what TLBs keep and drop: `node --conditions=@mmkit/source apps/conform/scripts/record-tlb.ts [--out FOLDER]
 * [--bochs COMMAND] [--bochs-share DIR] [--vgabios FILE]`. Runs native/tlb-x86_64.c on Bochs (PCID, INVPCID) and QEMU
 * (neither), and native/tlb-aarch64.c on QEMU; native/tlb-scripts.h says what a script is. Needs gcc,
 * aarch64-linux-gnu-gcc, Bochs with its rfb plugin, and QEMU for both. An access that the architecture binds and that
 * saw something else is an error.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const NATIVE = join(import.meta.dirname, '../native');
const DATA = join(import.meta.dirname, '../../../packages/pgtable/test/data');
const CFLAGS =
  '-O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -static -fno-pic -no-pie -mgeneral-regs-only ' +
  '-fno-stack-protector -fno-asynchronous-unwind-tables -Wl,-N -Wl,--no-warn-rwx-segments -Wl,--build-id=none';
const X86_64_CFLAGS = '-m64 -mno-red-zone -fcf-protection=none -Wl,--oformat=binary -Wl,-Ttext=0x7c00';
const AARCH64_CFLAGS = '-mstrict-align -Wl,-Ttext=0x40080000';
/** What the boot sector loads, and itself. */
const PROGRAM_BYTES = 65 * 512;
const FLOPPY_BYTES = 1440 * 1024;
const BOCHS_CPU = 'corei7_haswell_4770';
const QEMU_CPU = 'max';
const QEMU = `-cpu ${QEMU_CPU} -display none -monitor none`;
const TIMEOUT_MS = 120_000;

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: DATA },
    bochs: { type: 'string', default: 'bochs-bin' },
    'bochs-share': { type: 'string', default: '/usr/share/bochs' },
    vgabios: { type: 'string', default: '/usr/share/vgabios/vgabios.bin' },
  },
});

function build(compiler: string, flags: string, arch: string, out: string): void {
  const sources = ['S', 'c'].map((suffix) => join(NATIVE, `tlb-${arch}.${suffix}`));
  execFileSync(compiler, [...`${CFLAGS} ${flags}`.split(' '), '-o', out, ...sources]);
}

function makeFloppy(floppy: string): void {
  build('gcc', X86_64_CFLAGS, 'x86_64', floppy);
  const program = readFileSync(floppy);
  if (program.length > PROGRAM_BYTES) throw new Error(`the program has ${program.length} bytes`);
  writeFileSync(floppy, Buffer.concat([program], FLOPPY_BYTES));
}

/** What a command wrote; all of these end with a status of their own. */
function outputOf(command: string, args: readonly string[]): string {
  return spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: TIMEOUT_MS })
    .stdout;
}

function runBochs(floppy: string): string {
  const config = join(folder, 'bochsrc');
  writeFileSync(
    config,
    `display_library: rfb, options="timeout=0"
memory: host=64, guest=64
romimage: file="${values['bochs-share']}/BIOS-bochs-legacy"
vgaromimage: file="${values.vgabios}"
cpu: model=${BOCHS_CPU}
floppya: 1_44="${floppy}", status=inserted
boot: floppy
log: ${join(folder, 'log')}
panic: action=fatal
port_e9_hack: enabled=1
`,
  );
  // The debugger stops before the first instruction.
  const commands = join(folder, 'commands');
  writeFileSync(commands, 'c\n');
  return outputOf(values.bochs, ['-q', '-f', config, '-rc', commands]);
}

function runQemu(arch: string, machine: string): string {
  return outputOf(`qemu-system-${arch}`, `${QEMU} ${machine}`.split(' '));
}

/** What was seen by script, from the program's output; null where the processor could not run it. */
function parse(by: string, output: string): Map<string, number[] | null> {
  if (!/\nend\r?\n/.test(output)) throw new Error(`${by}: the program did not come to its end`);
  const lines = output.split(/\r?\n/).filter((line) => line.includes('|') && line.includes(' >'));
  return new Map(
    lines.map((line) => {
      const [script, seen] = line.split('|') as [string, string];
      const frames = seen === '-' ? null : seen.split(' ').map(Number);
      checkSeen(by, script, frames);
      return [script, frames];
    }),
  );
}

function checkSeen(by: string, script: string, seen: readonly number[] | null): void {
  const allowed = [...script.matchAll(/[:!?](\S+)/g)].map(([, numbers]) => numbers!.split('/').map(Number));
  if (seen === null) return;
  if (seen.length !== allowed.length || seen.some((frame, i) => !allowed[i]!.includes(frame))) {
    throw new Error(`${by} saw ${seen.join(' ')} in: ${script}`);
  }
}

/** One file: who saw, and what each of them saw by script. */
function write(name: string, by: Readonly<Record<string, string>>, outputs: Readonly<Record<string, string>>): void {
  const seen = Object.entries(outputs).map(([who, output]) => [who, parse(by[who]!, output)] as const);
  const rows = [...seen[0]![1].keys()].map((script) => {
    const bySome = seen.map(([who, results]) => [who, results.get(script) ?? null]);
    return JSON.stringify({ script, seen: Object.fromEntries(bySome) });
  });
  writeFileSync(join(values.out, name), `{"by": ${JSON.stringify(by)},\n"rows": [\n${rows.join(',\n')}\n]}\n`);
}

function versionOf(command: string, option: string): string {
  const { stdout, stderr } = spawnSync(command, [option], { encoding: 'utf8' });
  return /(Bochs x86 Emulator|version) ([\d.]+)/.exec(stdout + stderr)![2]!;
}

const folder = mkdtempSync(join(tmpdir(), 'tlb-'));
try {
  const floppy = join(folder, 'floppy');
  const kernel = join(folder, 'kernel');
  makeFloppy(floppy);
  build('aarch64-linux-gnu-gcc', AARCH64_CFLAGS, 'aarch64', kernel);
  const qemu = (arch: string): string =>
    `QEMU ${versionOf(`qemu-system-${arch}`, '--version')}, TCG, ${arch}, cpu ${QEMU_CPU}`;
  write(
    'tlb-x86_64.json',
    { bochs: `Bochs ${versionOf(values.bochs, '--help')}, cpu ${BOCHS_CPU}`, qemu: qemu('x86_64') },
    {
      bochs: runBochs(floppy),
      qemu: runQemu(
        'x86_64',
        `-m 64 -serial none -debugcon stdio -device isa-debug-exit -boot a -drive file=${floppy},if=floppy,format=raw`,
      ),
    },
  );
  write(
    'tlb-aarch64.json',
    { qemu: qemu('aarch64') },
    { qemu: runQemu('aarch64', `-M virt -m 512 -serial stdio -semihosting -kernel ${kernel}`) },
  );
} finally {
  rmSync(folder, { recursive: true });
}
