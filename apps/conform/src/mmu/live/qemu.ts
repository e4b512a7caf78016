/** QEMU as the machine: the guest built on the spot, one run for each CPU, RAM in a file both sides use. */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BadInput } from '../../exit.ts';
import { RAM_SIZE } from '../format.ts';
import type { Case, Mode, Result, X86Mode } from '../format.ts';
import {
  decodeHead,
  decodeOutput,
  encodeInput,
  INPUT_OFFSET,
  INPUT_SIZE,
  OUTPUT_HEAD,
  OUTPUT_OFFSET,
} from './exchange.ts';

/** What runs live. */
export type LiveArch = 'x86_64' | 'aarch64';

/** The sources of the guest lie beside this file's folder, built or not. */
const NATIVE = import.meta.url.endsWith('.ts') ? '../../../native/' : '../native/';

/** A guest that hangs is ended after this, ms. */
const TIME_LIMIT = 600_000;

interface Target {
  /** Node's name for a host that is one itself. */
  readonly host: string;
  readonly compiler: string;
  readonly emulator: string;
  readonly flags: readonly string[];
  /** The CPU that cases of a mode run on. */
  cpu(mode: Mode): string;
  /** Machine, and how the program gets in and out. */
  machine(program: string): readonly string[];
}

const TARGETS: Readonly<Record<LiveArch, Target>> = {
  x86_64: {
    host: 'x64',
    compiler: 'x86_64-linux-gnu-gcc',
    emulator: 'qemu-system-x86_64',
    flags: ['-mno-red-zone', '-fcf-protection=none', '-Wl,--oformat=binary,-Ttext=0x100000'],
    cpu: (mode) => {
      const { la57, maxphyaddr } = mode as X86Mode;
      return `max,phys-bits=${maxphyaddr},la57=${la57 ? 'on' : 'off'}`;
    },
    machine: (program) => ['-M', 'pc', '-kernel', program, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
  },
  aarch64: {
    host: 'arm64',
    compiler: 'aarch64-linux-gnu-gcc',
    emulator: 'qemu-system-aarch64',
    flags: ['-mstrict-align', '-Wl,-Ttext=0x40100000'],
    cpu: () => 'max',
    machine: (program) => ['-M', 'virt', '-device', `loader,file=${program},cpu-num=0`],
  },
};

const FLAGS = [
  '-O1',
  '-ffreestanding',
  '-fno-builtin',
  '-fno-tree-loop-distribute-patterns',
  '-fno-stack-protector',
  '-fno-unwind-tables',
  '-fno-asynchronous-unwind-tables',
  '-fPIE',
  '-mgeneral-regs-only',
  '-nostdlib',
  '-static',
  '-Wl,-N,--build-id=none',
];

/** A machine ready to run cases. `close` removes its files. */
export class Qemu {
  readonly arch: LiveArch;
  /** The emulator and its version. */
  readonly name: string;
  readonly folder: string;
  readonly program: string;

  /** BadInput when the emulator or a compiler is missing. */
  constructor(arch: LiveArch) {
    this.arch = arch;
    const { emulator } = TARGETS[arch];
    const version = versionOf(emulator);
    if (version === null) throw new BadInput(`${emulator}: not found: --live needs QEMU`);
    this.name = version;
    const compiler = findCompiler(arch);
    this.folder = mkdtempSync(join(tmpdir(), 'mmkit-mmu-'));
    this.program = join(this.folder, 'monitor');
    const sources = [`mmu-${arch}.S`, `mmu-${arch}.c`, 'mmu-monitor.c'].map((name) =>
      fileURLToPath(new URL(`${NATIVE}${name}`, import.meta.url)),
    );
    const flags = [...FLAGS, ...TARGETS[arch].flags];
    const { status, stderr } = spawnSync(compiler, [...flags, '-o', this.program, ...sources], { encoding: 'utf8' });
    if (status !== 0) {
      this.close();
      throw new BadInput(`${compiler}: ${stderr.split('\n')[0]}`);
    }
  }

  /** What the MMU does with the probes of `cases`; groups them by CPU. BadInput when QEMU fails. */
  run(cases: readonly Case[]): Result[][] {
    const groups = new Map<string, Case[]>();
    for (const one of cases) {
      const cpu = TARGETS[this.arch].cpu(one.mode);
      groups.set(cpu, [...(groups.get(cpu) ?? []), one]);
    }
    const results = new Map<Case, Result[]>();
    for (const [cpu, group] of groups) {
      this.runGroup(cpu, group).forEach((answers, i) => results.set(group[i]!, answers));
    }
    return cases.map((one) => results.get(one)!);
  }

  runGroup(cpu: string, cases: readonly Case[]): Result[][] {
    const ram = join(this.folder, 'ram');
    const input = encodeInput(this.arch, cases);
    if (input.byteLength > INPUT_SIZE) throw new BadInput(`--count: the cases do not fit into the guest`);
    const { emulator, machine } = TARGETS[this.arch];
    const file = openSync(ram, 'w+');
    try {
      ftruncateSync(file, Number(RAM_SIZE));
      writeSync(file, new Uint8Array(input.buffer), 0, input.byteLength, INPUT_OFFSET);
      const backend = `memory-backend-file,id=ram,size=2G,mem-path=${ram},share=on`;
      const options = ['-accel', 'tcg', '-cpu', cpu, '-m', '2G', '-object', backend, '-machine', 'memory-backend=ram'];
      const none = ['-nodefaults', '-display', 'none', '-no-reboot'];
      const { status, signal, stderr } = spawnSync(emulator, [...machine(this.program), ...options, ...none], {
        encoding: 'utf8',
        timeout: TIME_LIMIT,
      });
      const head = readWords(file, OUTPUT_OFFSET, OUTPUT_HEAD);
      const { finished, words } = decodeHead(head);
      if (finished !== cases.length) {
        const where = finished < 0 ? 'before the first case' : `in ${cases[finished]!.id}`;
        throw new BadInput(`${emulator} -cpu ${cpu}: ended ${where} (${signal ?? status}) ${stderr.split('\n')[0]}`);
      }
      return decodeOutput(this.arch, cases, readWords(file, OUTPUT_OFFSET + head.byteLength, words));
    } finally {
      closeSync(file);
      rmSync(ram);
    }
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The first line of `--version`, or null: not there. */
function versionOf(program: string): string | null {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0]! : null;
}

function findCompiler(arch: LiveArch): string {
  const { host, compiler } = TARGETS[arch];
  const names = process.arch === host ? [compiler, 'gcc'] : [compiler];
  const found = names.find((name) => versionOf(name) !== null);
  if (found === undefined) throw new BadInput(`${names.join(', ')}: not found: --live needs a compiler for ${arch}`);
  return found;
}

function readWords(file: number, offset: number, words: number): BigUint64Array<ArrayBuffer> {
  const found = new BigUint64Array(words);
  readSync(file, new Uint8Array(found.buffer), 0, found.byteLength, offset);
  return found;
}
