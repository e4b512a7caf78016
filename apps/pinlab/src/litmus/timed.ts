/** How long an exploration takes. */
import type { ExploreResult } from '@mmkit/explore';

/** What came out, and how long it took. */
export interface Done {
  readonly result: ExploreResult;
  readonly seconds: number;
}

/** Runs `search` and takes the time. */
export function timed(search: () => ExploreResult): Done {
  const start = performance.now();
  const result = search();
  return { result, seconds: (performance.now() - start) / 1000 };
}
