/**
 * `pinlab rdma --story`: what the model plays is what Linux does. The rows of 6.18 were also asked of a running 6.18.44,
 * with a registered buffer of io_uring as the region: they are the same.
 */
import { describe, expect, it } from 'vitest';
import { storyCommand } from '../src/rdma/story-command.ts';
import { playStory, type StoryOutcome } from '../src/rdma/story.ts';

const rows = playStory();

/** What everybody saw, as [device, parent, child, file], by the rules of one kernel. */
function seen(name: string, kernel: string): (string | null)[] {
  const { device, parent, child, file } = outcome(name, kernel);
  return [device, parent, child, file];
}

function outcome(name: string, kernel: string): StoryOutcome {
  return rows.find((row) => row.name === name)!.outcomes.find((one) => one.kernel === kernel)!;
}

const BOTH = ['linux4_8', 'linux6_18'];

describe('the story', () => {
  it('asks Linux 4.8, which takes references, and 6.18, which pins', () => {
    for (const { outcomes } of rows) {
      expect(outcomes.map(({ kernel, call }) => [kernel, call])).toEqual([
        ['linux4_8', 'get_user_pages'],
        ['linux6_18', 'pin_user_pages'],
      ]);
    }
  });

  it.each(BOTH)('%s: left alone, device and process share the page', (kernel) => {
    expect(seen('nothing', kernel)).toEqual(['PD.', 'PD.', null, null]);
  });

  it('C.6: a parent that stores first after fork loses the page to the device and the child; with pins it keeps it', () => {
    expect(seen('fork, the parent stores first', 'linux4_8')).toEqual(['.DC', 'P..', '.DC', null]);
    expect(seen('fork, the parent stores first', 'linux6_18')).toEqual(['PD.', 'PD.', '..C', null]);
  });

  it.each(BOTH)('%s, C.6: when the child stores first it is the child that gets the copy', (kernel) => {
    expect(seen('fork, the child stores first', kernel)).toEqual(['PD.', 'PD.', '..C', null]);
  });

  it.each(BOTH)('%s, C.6: with MADV_DONTFORK the child has no such memory, the parent keeps the page', (kernel) => {
    expect(seen('MADV_DONTFORK, then fork', kernel)).toEqual(['PD.', 'PD.', 'SIGSEGV', null]);
  });

  it.each(BOTH)('%s, D.2: after MADV_DONTNEED the device has the orphan, the process zeros', (kernel) => {
    expect(seen('MADV_DONTNEED', kernel)).toEqual(['.D.', 'P00', null, null]);
  });

  it.each(BOTH)('%s: after munmap the device goes on alone, whatever is mapped there later', (kernel) => {
    expect(seen('munmap', kernel)).toEqual(['.D.', 'SIGSEGV', null, null]);
    expect(seen('munmap, new memory mapped there', kernel)).toEqual(['.D.', 'P00', null, null]);
  });

  it.each(BOTH)('%s: the region outlives its process', (kernel) => {
    expect(seen('the process exits', kernel)).toEqual(['.D.', null, null, null]);
  });

  it('C.6: the child that stays behind sees what the device writes; with pins it has its own page', () => {
    expect(seen('fork, then the parent exits', 'linux4_8')).toEqual(['.DC', null, '.DC', null]);
    expect(seen('fork, then the parent exits', 'linux6_18')).toEqual(['.D.', null, '..C', null]);
  });

  it.each(BOTH)('%s, D.2, N.13: a truncated page lives on as an orphan, the file gets another', (kernel) => {
    expect(seen('shared memfd: truncated to nothing', kernel)).toEqual(['.D.', 'SIGBUS', null, 'empty']);
    expect(seen('shared memfd: truncated, grown again', kernel)).toEqual(['.D.', 'P00', null, 'P00']);
  });

  it.each(BOTH)('%s: a page of a file in memory is one for all, whatever the mappings do', (kernel) => {
    expect(seen('shared memfd: nothing', kernel)).toEqual(['PD.', 'PD.', null, 'PD.']);
    expect(seen('shared memfd: fork', kernel)).toEqual(['PDC', 'PDC', 'PDC', 'PDC']);
    expect(seen('shared memfd: MADV_DONTNEED', kernel)).toEqual(['PD.', 'PD.', null, 'PD.']);
    expect(seen('shared memfd: the process exits', kernel)).toEqual(['.D.', null, null, '.D.']);
  });

  it.each(BOTH)('%s, D.1: of a private mapping the region has the copy, the file stays', (kernel) => {
    expect(seen('private memfd: nothing', kernel)).toEqual(['PD.', 'PD.', null, '...']);
  });

  it('B.5 #6, C.7: a file on disk that would be written behind its back is refused since pins are for long', () => {
    expect(seen('shared file on disk: nothing', 'linux4_8')).toEqual(['PD.', 'PD.', null, 'PD.']);
    expect(seen('shared file on disk: truncated, grown', 'linux4_8')).toEqual(['.D.', 'P00', null, 'P00']);
    expect(seen('shared file on disk: nothing', 'linux6_18')).toEqual(['EFAULT', 'P..', null, 'P..']);
    expect(seen('shared file on disk: truncated, grown', 'linux6_18')).toEqual(['EFAULT', 'P00', null, 'P00']);
  });

  it('B.17: the page is charged while the region lives, also after exit; nothing leaks', () => {
    for (const one of rows.flatMap(({ outcomes }) => outcomes)) {
      const pinnedVm = one.device === 'EFAULT' ? 0 : 1;
      expect(one).toMatchObject({ pinnedVm, leakedPins: 0, leakedFrames: 0 });
    }
  });

  it('says whether device and process still see one page, where the process has one', () => {
    for (const { outcomes } of rows) {
      for (const { together, device, parent } of outcomes) {
        const has = device !== 'EFAULT' && parent !== null && !parent.startsWith('SIG');
        expect(together).toBe(has ? parent === device : null);
      }
    }
  });
});

describe('pinlab rdma --story', () => {
  function printed(options: { json?: boolean }): string {
    const lines: string[] = [];
    expect(storyCommand(options, (text) => lines.push(text))).toBe(0);
    return lines.join('\n');
  }

  it('prints a line for each case, with what each of the eight viewers saw', () => {
    const lines = printed({}).split('\n');
    for (const { name, outcomes } of rows) {
      const line = lines.find((one) => one.startsWith(`${name}  `))!;
      const cells = outcomes.flatMap(({ device, parent, child, file, together }) => [
        ...[device, parent, child, file].map((cell) => cell ?? '–'),
        ...(together === false ? ['!'] : []),
      ]);
      expect(line.slice(name.length).trim().split(/ +/)).toEqual(cells);
    }
    expect(lines.every((line) => line.length <= 120)).toBe(true);
  });

  it('--json is one document', () => {
    expect(JSON.parse(printed({ json: true }))).toEqual({ ok: true, rows });
  });
});
