/** What an observation prints is what changed since the last one: this remembers it. */
import type { World } from '../world/world.ts';
import { PROCESSES } from '../world/world.ts';
import { Contents } from './contents.ts';
import type { PageView } from './page.ts';

/** What was printed last about one process. */
export class Seen {
  /** The text of the `vmas` and `cnt` lines; '[]' before the first. */
  vmas: string;
  cnt: string;
  /** By page of the arena. */
  pages: Map<number, PageView>;

  constructor() {
    this.vmas = '[]';
    this.cnt = '[]';
    this.pages = new Map();
  }
}

export class Observer {
  readonly world: World;
  readonly contents: Contents;
  /** By process. */
  readonly seen: Seen[];
  /** The text of the `pins`, `pipes` and `files` lines. */
  pins: string;
  pipes: string;
  files: string;

  constructor(world: World) {
    this.world = world;
    this.contents = new Contents(world.machine.memory.phys);
    this.seen = Array.from({ length: PROCESSES }, () => new Seen());
    this.pins = '[]';
    this.pipes = '[]';
    this.files = '[]';
  }
}

/** The process has ended: the next one of this number begins with nothing. */
export function forgetProcess(observer: Observer, p: number): void {
  observer.seen[p] = new Seen();
}
