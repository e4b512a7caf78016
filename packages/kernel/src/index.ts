export { createMachine, Machine } from './machine.ts';
export type { MachineOptions } from './machine.ts';
export {
  BUS_ADRERR,
  Process,
  SEGV_ACCERR,
  SEGV_MAPERR,
  SI_KERNEL,
  SIGBUS,
  SignalInfo,
  SIGSEGV,
} from './process.ts';
export { createProcess, exitProcess, forkProcess } from './process.gen.ts';
export type { ForkedProcess } from './process.gen.ts';
export { load, store } from './access.gen.ts';
export { peekBytes, translate } from './peek.ts';
export { DEFAULT_BIO_PAGES, DEFAULT_QUEUE_DEPTH, DirectIo } from './direct-io.ts';
export type { DirectIoOptions, DirectIoResult } from './direct-io.ts';
export { directRead, directWrite, finishDirectIo, submitDirectRead, submitDirectWrite } from './direct-io.gen.ts';
export { checkMachine } from './check.ts';
