export { explore } from './explore.ts';
export type { ExploreOptions, ExploreResult, Failure } from './explore.ts';
export { formatTimeline, replay } from './replay.ts';
export type { Replay, TimelineStep } from './replay.ts';
export { formatSchedule, MAX_NAMES, parseSchedule } from './schedule.ts';
export type { Scenario, World } from './world.ts';
