import { linux6_18 } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { explore } from '@mmkit/explore';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { createMachine, createProcess, forkProcess, store, translate } from '@mmkit/kernel/sched';
import { MAP_ANONYMOUS, MAP_POPULATE, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm/sched';
import { runTask, spawn } from '@mmkit/task/sched';

/** A device gets its page while the process forks; then the process stores to the page. */
const deviceAgainstFork = (writeProtectSeq: boolean) => () => {
  const machine = createMachine({ ramBytes: 64 * 4096, policy: { ...linux6_18, writeProtectSeq }, cpus: 2 });
  const { sched } = machine;
  const process = createProcess(machine)!;
  const prot = PROT_READ | PROT_WRITE;
  const at = runTask(sched, mmap(process.mm, 0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE));
  const pages = new Uint32Array(1);
  spawn(sched, 'pin', pinUserPagesFast(process.mm, at, 1, FOLL_WRITE, pages));
  spawn(sched, 'fork', forkProcess(machine, process));
  const check = () => {
    runTask(sched, store(machine, process, at, Uint8Array.of(1), 0, 1));
    return translate(machine, process, at) === pages[0] ? null : 'the store moved the process to a copy';
  };
  return { sched, check };
};

const without = explore(deviceAgainstFork(false), { stopAtFirst: true });
console.log(`without the sequence: ${without.first?.message}, schedule ${without.first?.schedule}`);
const withIt = explore(deviceAgainstFork(true), { maxSchedules: 5000 });
console.log(`with it: ${withIt.failures} of the first ${withIt.schedules} schedules`);
if (without.failures !== 1 || withIt.failures !== 0) throw new Error('unexpected verdict');
