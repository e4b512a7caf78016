/** LRU lists and batches as plain arrays of folios: what lru.ts, lru-move.ts and lru-batch.ts are held against. */

/** A folio. */
export interface NaiveFolio {
  readonly pfn: number;
  readonly pages: number;
  readonly node: number;
  readonly anon: boolean;
  refs: number;
  mapped: boolean;
  lru: boolean;
  /** In a batch, to be put on a list for the first time. */
  pending: boolean;
  active: boolean;
  swapbacked: boolean;
  unevictable: boolean;
  mlocked: boolean;
  mlockCount: number;
  referenced: boolean;
  dirty: boolean;
  reclaim: boolean;
}

type Move = (folio: NaiveFolio) => void;

/** Batches of a CPU, in the order they are drained. */
const BATCHES = ['add', 'rotate', 'deactivateFile', 'deactivate', 'lazyfree', 'activate', 'mlock'] as const;

export class NaiveLru {
  /** By node: inactive anon, active anon, inactive file, active file; the one in front first. */
  readonly lists: NaiveFolio[][][];
  /** By CPU and batch: folios with what is to be done. */
  readonly batches: Map<string, { folio: NaiveFolio; move: Move; needsLru: boolean }[]>[];
  readonly folios: NaiveFolio[] = [];
  cpu = 0;

  constructor(nodes: number, cpus: number) {
    this.lists = Array.from({ length: nodes }, () => [[], [], [], []]);
    this.batches = Array.from({ length: cpus }, () => new Map(BATCHES.map((name) => [name, []])));
  }

  listOf(folio: NaiveFolio): NaiveFolio[] {
    return this.lists[folio.node]![(folio.swapbacked ? 0 : 2) + (folio.active ? 1 : 0)]!;
  }

  private insert(folio: NaiveFolio, last: boolean): void {
    folio.lru = true;
    if (folio.unevictable) return;
    if (last) this.listOf(folio).push(folio);
    else this.listOf(folio).unshift(folio);
  }

  remove(folio: NaiveFolio): void {
    folio.lru = false;
    folio.mlockCount = 0;
    if (!folio.unevictable) this.listOf(folio).splice(this.listOf(folio).indexOf(folio), 1);
  }

  private change(folio: NaiveFolio, change: Partial<NaiveFolio>, last: boolean = false): void {
    this.remove(folio);
    Object.assign(folio, change);
    this.insert(folio, last);
  }

  private queue(name: (typeof BATCHES)[number], folio: NaiveFolio, move: Move, needsLru: boolean): void {
    folio.refs++;
    const batch = this.batches[this.cpu]!.get(name)!;
    batch.push({ folio, move, needsLru });
    if (batch.length === 31 || folio.pages > 1) this.drainBatch(batch);
  }

  private drainBatch(batch: { folio: NaiveFolio; move: Move; needsLru: boolean }[]): void {
    for (const { folio, move, needsLru } of batch.splice(0)) {
      if (folio.refs > 1 && (folio.lru || !needsLru)) move(folio);
      this.put(folio);
    }
  }

  drain(cpu: number): void {
    for (const name of BATCHES) this.drainBatch(this.batches[cpu]!.get(name)!);
  }

  put(folio: NaiveFolio): void {
    folio.refs--;
    if (folio.refs > 0) return;
    if (folio.lru) this.remove(folio);
    this.folios.splice(this.folios.indexOf(folio), 1);
  }

  add(folio: NaiveFolio): void {
    folio.pending = true;
    this.queue('add', folio, () => this.firstTime(folio, true), false);
  }

  mlockNew(folio: NaiveFolio): void {
    folio.pending = true;
    folio.mlocked = true;
    this.queue('mlock', folio, () => this.firstTime(folio, false), false);
  }

  private firstTime(folio: NaiveFolio, forget: boolean): void {
    folio.pending = false;
    if (folio.mlocked) {
      folio.active = false;
      folio.unevictable = true;
      folio.mlockCount = 1;
    } else if (forget) {
      folio.unevictable = false;
    }
    this.insert(folio, false);
  }

  activate(folio: NaiveFolio): void {
    if (!folio.lru || folio.active || folio.unevictable) return;
    const move = (): void => {
      if (!folio.active && !folio.unevictable) this.change(folio, { active: true });
    };
    this.queue('activate', folio, move, true);
  }

  deactivate(folio: NaiveFolio): void {
    if (!folio.lru || !folio.active || folio.unevictable) return;
    const move = (): void => {
      if (folio.active && !folio.unevictable) this.change(folio, { active: false, referenced: false });
    };
    this.queue('deactivate', folio, move, true);
  }

  deactivateFile(folio: NaiveFolio): void {
    if (!folio.lru || folio.unevictable) return;
    const move = (): void => {
      if (folio.unevictable || folio.mapped) return;
      if (folio.dirty) this.change(folio, { active: false, referenced: false, reclaim: true });
      else this.change(folio, { active: false, referenced: false }, true);
    };
    this.queue('deactivateFile', folio, move, true);
  }

  lazyfree(folio: NaiveFolio): void {
    const may = (): boolean => folio.lru && folio.anon && folio.swapbacked && !folio.unevictable;
    const move = (): void => {
      if (may()) this.change(folio, { active: false, referenced: false, swapbacked: false });
    };
    if (may()) this.queue('lazyfree', folio, move, true);
  }

  rotate(folio: NaiveFolio): void {
    if (!folio.lru || folio.dirty || folio.unevictable) return;
    const move = (): void => {
      if (!folio.unevictable) this.change(folio, { active: false }, true);
    };
    this.queue('rotate', folio, move, true);
  }

  markAccessed(folio: NaiveFolio): void {
    if (!folio.referenced) {
      folio.referenced = true;
    } else if (!folio.unevictable && !folio.active) {
      if (folio.lru) this.activate(folio);
      else if (this.batches[this.cpu]!.get('add')!.some((entry) => entry.folio === folio)) folio.active = true;
      folio.referenced = false;
    }
  }

  mlock(folio: NaiveFolio): void {
    folio.mlocked = true;
    const move = (): void => {
      if (!folio.lru) return;
      if (!folio.mlocked) this.rescue(folio);
      else if (folio.unevictable) folio.mlockCount++;
      else {
        this.change(folio, { active: false, unevictable: true });
        folio.mlockCount = 1;
      }
    };
    this.queue('mlock', folio, move, false);
  }

  munlock(folio: NaiveFolio): void {
    const move = (): void => {
      if (folio.lru && folio.unevictable) {
        folio.mlockCount = Math.max(folio.mlockCount - 1, 0);
        if (folio.mlockCount > 0) return;
      }
      folio.mlocked = false;
      this.rescue(folio);
    };
    this.queue('mlock', folio, move, false);
  }

  private rescue(folio: NaiveFolio): void {
    if (folio.lru && folio.unevictable) this.change(folio, { unevictable: false });
  }

  isolate(folio: NaiveFolio): boolean {
    if (!folio.lru) return false;
    this.remove(folio);
    folio.refs++;
    return true;
  }
}
