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
export { createProcess, exitProcess, forkProcess } from './process.co.ts';
export type { ForkedProcess } from './process.co.ts';
export { evictTranslation, load, speculate, store } from './access.co.ts';
export {
  balanceZones,
  DIRTY_WRITEBACK_INTERVAL,
  deviceRead,
  deviceWrite,
  flusher,
  KSWAPD_INTERVAL,
  kswapd,
  writebackDirty,
} from './agents.co.ts';
export { peekBytes, translate } from './peek.ts';
export { DEFAULT_BIO_PAGES, DEFAULT_QUEUE_DEPTH, DirectIo } from './direct-io.ts';
export type { DirectIoOptions, DirectIoResult } from './direct-io.ts';
export { directRead, directWrite, finishDirectIo, submitDirectRead, submitDirectWrite } from './direct-io.co.ts';
export { directReadFile, directWriteFile } from './direct-io-file.co.ts';
export { createDiskFile, createMemfd, MFD_ALLOW_SEALING } from './files.co.ts';
export type { DiskFileOptions } from './files.co.ts';
export { readFile, writeFile } from './files-io.co.ts';
export {
  fadvise,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocate,
  fsync,
  ftruncate,
  POSIX_FADV_DONTNEED,
  POSIX_FADV_WILLNEED,
} from './files-calls.co.ts';
export { createIoUring, fixedBufferRead, fixedBufferWrite, IoUring, RegisteredBuffer } from './io-uring.ts';
export { registerBuffers, unregisterBuffers } from './io-uring.co.ts';
export type { IoVec } from './io-uring.co.ts';
export { PIPE_LOCK } from './lock-order.ts';
export { createPipe, DEFAULT_PIPE_SLOTS, destroyPipe, Pipe, PipeBuffer } from './pipe.ts';
export { pipeRead, vmsplice } from './pipe.co.ts';
export { procMemRead, procMemWrite } from './proc-mem.co.ts';
export { processVmReadv, processVmWritev } from './process-vm.co.ts';
export { procMaps } from './proc-maps.ts';
export { procPagemap } from './proc-pagemap.ts';
export { procSmaps } from './proc-smaps.ts';
export { procStatus } from './proc-status.ts';
export { procVmstat } from './proc-vmstat.ts';
export { checkMachine } from './check.ts';
export { allocPd, createRdmaDevice, deallocPd, ProtectionDomain, RdmaDevice } from './rdma/device.ts';
export {
  MemoryRegion,
  MR_INVALID_KEY,
  MR_NO_ACCESS,
  MR_OK,
  MR_OUT_OF_BOUNDS,
  MR_WRONG_PD,
  rdmaGather,
  rdmaScatter,
} from './rdma/region.ts';
export { ScatterList } from './rdma/scatter-list.ts';
export { deregMr, regMr } from './rdma/region.co.ts';
export type { RegMrResult } from './rdma/region.co.ts';
export { CompletionQueue, createCq, destroyCq, pollCq } from './rdma/cq.ts';
export { waitCq } from './rdma/cq.co.ts';
export { connectQp, createQp, DEFAULT_MAX_WR, destroyQp, modifyQp, postRecv, postSend } from './rdma/qp.ts';
export { QueuePair, SendRequest } from './rdma/queue-pair.ts';
export type { QpOptions, RdmaTransport } from './rdma/queue-pair.ts';
export { MAX_MESSAGE, placeRead, placeReceive } from './rdma/place.ts';
export { completeReceive, completeSend, failQp } from './rdma/complete.ts';
export { connectLoopback } from './rdma/loopback.ts';
export {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_ATOMIC,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_QPS_ERR,
  IBV_QPS_INIT,
  IBV_QPS_RESET,
  IBV_QPS_RTS,
  IBV_SEND_SIGNALED,
  IBV_WC_LOC_LEN_ERR,
  IBV_WC_LOC_PROT_ERR,
  IBV_WC_RDMA_READ,
  IBV_WC_RDMA_WRITE,
  IBV_WC_RECV,
  IBV_WC_REM_ACCESS_ERR,
  IBV_WC_REM_INV_REQ_ERR,
  IBV_WC_REM_OP_ERR,
  IBV_WC_RETRY_EXC_ERR,
  IBV_WC_RNR_RETRY_EXC_ERR,
  IBV_WC_SEND,
  IBV_WC_SUCCESS,
  IBV_WC_WR_FLUSH_ERR,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  IBV_WR_SEND,
} from './rdma/verbs.ts';
export type { RecvWr, SendWr, Sge, WorkCompletion } from './rdma/verbs.ts';
export { clearUser, copyToUser, faultInReadable, faultInWriteable } from './user-copy.co.ts';
