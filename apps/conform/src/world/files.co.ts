/** The files of a trace, and the calls on them that need no memory of a process. */
import type { Task } from '@mmkit/base';
import { InvariantError } from '@mmkit/base';
import {
  BlockDevice,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  OpenFile,
} from '@mmkit/filemap';
import { addSeals, filemapRead, filemapWrite } from '@mmkit/filemap/sched';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MFD_ALLOW_SEALING, POSIX_FADV_DONTNEED } from '@mmkit/kernel';
import type { Machine, Process } from '@mmkit/kernel';
import {
  createDiskFile,
  createMemfd,
  directReadFile,
  directWriteFile,
  fadvise,
  fallocate,
  fsync,
  ftruncate,
  readFile,
  writeFile,
} from '@mmkit/kernel/sched';
import type { Op } from '../trace/ops.ts';
import type { FileSpec } from '../trace/parse.ts';
import { readResult } from './pins.co.ts';
import { BADREF, RANGE, returned, UNSUPPORTED } from './result.ts';
import type { OpResult } from './result.ts';
import { addressOf, bytesInArena, PAGE, World } from './world.ts';

const SEALS: Readonly<Record<string, number>> = {
  seal: F_SEAL_SEAL,
  shrink: F_SEAL_SHRINK,
  grow: F_SEAL_GROW,
  write: F_SEAL_WRITE,
  future_write: F_SEAL_FUTURE_WRITE,
};

/** Makes a file as the trace's header says; `disk` is where ext4 lies. A file of huge pages is an empty memfd here. */
export function* createTraceFile(machine: Machine, disk: BlockDevice, spec: FileSpec): Task<OpenFile> {
  const file = createEmptyFile(machine, disk, spec);
  for (let page = 0; spec.fill > 0 && page < spec.pages; page++) {
    const bytes = new Uint8Array(PAGE).fill(spec.fill + page);
    const done = yield* filemapWrite(file.inode, page * PAGE, bytes, 0, PAGE);
    if (done !== PAGE) throw new InvariantError('NO_FILE', `a file could not be filled: ${done}`);
  }
  if (spec.kind === 'ext4') yield* fsync(file);
  return file;
}

function createEmptyFile(machine: Machine, disk: BlockDevice, spec: FileSpec): OpenFile {
  const size = spec.pages * PAGE;
  if (spec.kind === 'ext4') return createDiskFile(machine, disk, { size });
  return createMemfd(machine, size, spec.kind === 'tmpfs' ? 0 : MFD_ALLOW_SEALING);
}

/** fread, fwrite, ftrunc, fpunch, falloc, fsync, fdrop, fseal. */
export function* fileOp(world: World, op: Op): Task<OpResult> {
  const file = world.files[op.f];
  if (file === undefined) return BADREF;
  if (op.len < 0 || op.off < 0) return UNSUPPORTED;
  switch (op.name) {
    case 'fread': {
      const into = new Uint8Array(op.len);
      return readResult(yield* filemapRead(file.inode, op.off, into, 0, op.len), into);
    }
    case 'fwrite':
      return returned(yield* filemapWrite(file.inode, op.off, new Uint8Array(op.len).fill(op.v), 0, op.len));
    case 'ftrunc':
      return returned(yield* ftruncate(file, op.size));
    case 'fpunch':
      return returned(yield* fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op.off, op.len));
    case 'falloc':
      return returned(yield* fallocate(file, 0, op.off, op.len));
    case 'fsync':
      return returned(yield* fsync(file));
    case 'fdrop':
      return returned(yield* fadvise(file, op.off, op.len, POSIX_FADV_DONTNEED));
    default:
      return returned(
        yield* addSeals(
          file,
          op.words.reduce((seals, word) => seals | SEALS[word]!, 0),
        ),
      );
  }
}

/** dread, dwrite, bread, bwrite: a file with memory of the process as buffer, past the page cache or through it. */
export function* transferOp(world: World, process: Process, op: Op): Task<OpResult> {
  const file = world.files[op.f];
  if (file === undefined) return BADREF;
  if (!bytesInArena(world, op)) return RANGE;
  const { machine } = world;
  const address = addressOf(op.at!, op.o);
  switch (op.name) {
    case 'dread':
      return returned((yield* directReadFile(machine, process, file, op.off, address, op.len)).result);
    case 'dwrite':
      return returned((yield* directWriteFile(machine, process, file, op.off, address, op.len)).result);
    case 'bread':
      return returned(yield* readFile(machine, process, file, op.off, address, op.len));
    default:
      return returned(yield* writeFile(machine, process, file, op.off, address, op.len));
  }
}
