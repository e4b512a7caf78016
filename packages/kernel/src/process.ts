/**
 * A process: an address space with a number. It has no threads of its own: whatever task calls `load`, `store` or a
 * system call for it runs on that task's CPU.
 */
import { InvariantError } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';

/** Bus error. */
export const SIGBUS = 7;
/** Invalid memory reference. */
export const SIGSEGV = 11;

/** si_code of SIGSEGV: nothing is mapped there. */
export const SEGV_MAPERR = 1;
/** si_code of SIGSEGV: the mapping does not allow the access. */
export const SEGV_ACCERR = 2;
/** si_code of SIGBUS: there is no such memory. */
export const BUS_ADRERR = 2;
/** si_code of a signal the kernel sends without an address: on x86 for an address that is not canonical. */
export const SI_KERNEL = 0x80;

/** What a failed memory access tells the process (Linux: siginfo_t). */
export class SignalInfo {
  /** SIGSEGV or SIGBUS. */
  readonly signal: number;
  /** SEGV_*, BUS_ADRERR or SI_KERNEL. */
  readonly code: number;
  /** The address accessed, bytes; 0 with SI_KERNEL. */
  readonly address: number;

  constructor(signal: number, code: number, address: number) {
    this.signal = signal;
    this.code = code;
    this.address = address;
  }
}

export class Process {
  /** 1 and up. */
  readonly pid: number;
  /** Its address space; not to be used after `exitProcess`. */
  readonly mm: Mm;
  /** Who forked it; null for one made by `createProcess`. */
  readonly parent: Process | null;
  /** The last signal an access of its own raised; null: none yet. Linux would end the process: here the caller may. */
  exitSignal: SignalInfo | null;
  /** True once `exitProcess` was called. process.co.ts only. */
  exited: boolean;
  /** Its name in /proc (comm), at most 15 characters; a child inherits it. */
  comm: string;

  constructor(pid: number, mm: Mm, parent: Process | null) {
    this.pid = pid;
    this.mm = mm;
    this.parent = parent;
    this.exitSignal = null;
    this.exited = false;
    this.comm = parent === null ? 'process' : parent.comm;
  }

  /** RLIMIT_MEMLOCK, bytes (Infinity: RLIM_INFINITY); the program may set it. A child inherits it. */
  get rlimitMemlock(): number {
    return this.mm.rlimitMemlock;
  }

  set rlimitMemlock(bytes: number) {
    this.mm.rlimitMemlock = bytes;
  }

  /** CAP_IPC_LOCK: the limit is not for it. The program may set it; a child inherits it. */
  get capIpcLock(): boolean {
    return this.mm.capIpcLock;
  }

  set capIpcLock(has: boolean) {
    this.mm.capIpcLock = has;
  }
}

/** InvariantError 'PROCESS_GONE' when the process has exited: its page tables are somebody else's memory by now. */
export function checkAlive(process: Process): void {
  if (process.exited) throw new InvariantError('PROCESS_GONE', `process ${process.pid} has exited`);
}
