/** The running kernel in tests. */
import { expect } from 'vitest';
import { BadInput } from '../src/exit.ts';
import { Recorder, whyNoRecorder } from '../src/live/recorder.ts';

/** `use` with a recorder; where none can be, that it says so in one line. */
export function onKernel(use: (recorder: Recorder) => void): void {
  const missing = whyNoRecorder();
  if (missing !== null) {
    expect(() => new Recorder()).toThrow(new BadInput(`the running kernel: ${missing}`));
    return;
  }
  const recorder = new Recorder();
  try {
    use(recorder);
  } finally {
    recorder.close();
  }
}
