/** `pinlab rdma --story`: the table, or one JSON document. */
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { playStory, type StoryOutcome, type StoryRow } from './story.ts';

/** A column: heading, what is in it, width. */
const COLUMNS: readonly (readonly [string, (outcome: StoryOutcome) => string, number])[] = [
  ['device', (outcome) => outcome.device, 8],
  ['parent', (outcome) => outcome.parent ?? '–', 9],
  ['child', (outcome) => outcome.child ?? '–', 9],
  ['file', (outcome) => outcome.file ?? '–', 6],
];
const NAME_WIDTH = 42;

/** Of a policy's name, `linux4_8`. */
function kernelName(policy: string): string {
  return policy.replace('linux', 'Linux ').replace('_', '.');
}

/** Plays the story and prints it; EXIT_FAILED when something leaked. */
export function storyCommand(options: { readonly json?: boolean }, print: (text: string) => void): number {
  const rows = playStory();
  const ok = rows.every(({ outcomes }) => outcomes.every((one) => one.leakedPins === 0 && one.leakedFrames === 0));
  print(options.json === true ? JSON.stringify({ ok, rows }, null, 2) : describe(rows, ok));
  return ok ? EXIT_OK : EXIT_FAILED;
}

function describe(rows: readonly StoryRow[], ok: boolean): string {
  const kernels = rows[0]!.outcomes.map(({ kernel, call }) => `${kernelName(kernel)}: ${call}`);
  const width = COLUMNS.reduce((sum, [, , columns]) => sum + columns, 0);
  const heading = COLUMNS.map(([name, , columns]) => name.padEnd(columns)).join('');
  const lines = [
    'A process registers a page for RDMA; its first three bytes are dots. Then something happens to its memory, and after',
    'that, by whoever still can: the parent stores a P in the first byte, another machine writes a D into the second by',
    'RDMA, the child stores a C in the third. Who sees which bytes? 0 is a zero byte; ! marks a process and a device that',
    'do not have the same page any more; EFAULT: the region was refused.',
    '',
    ''.padEnd(NAME_WIDTH) + kernels.map((text) => text.padEnd(width + 2)).join(''),
    ''.padEnd(NAME_WIDTH) + kernels.map(() => `${heading}  `).join(''),
    ...rows.map(({ name, outcomes }) => name.padEnd(NAME_WIDTH) + outcomes.map(cells).join('')),
    '',
    ok ? 'After deregistration and exit no pin and no frame was left.' : 'SOMETHING LEAKED',
  ];
  return lines.map((line) => line.trimEnd()).join('\n');
}

function cells(outcome: StoryOutcome): string {
  const mark = outcome.together === false ? '! ' : '  ';
  return COLUMNS.map(([, text, width]) => text(outcome).padEnd(width)).join('') + mark;
}
