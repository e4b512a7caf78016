export { createMemoryBackend } from './backend.ts';
export type { AsyncBackend, Backend } from './backend.ts';
export { BIO_READ, BIO_WRITE, Bio, createBio } from './bio.ts';
export { BlockDevice, createBlockDevice, submitBio } from './blockdev.ts';
export type { BlockDeviceOptions } from './blockdev.ts';
export { waitBio, waitIdle } from './wait.co.ts';
