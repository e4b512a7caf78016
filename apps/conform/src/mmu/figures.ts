/** Agreement by architecture and mode group. */
import type { Arch, Arm64Mode, Case, Mode, Riscv64Mode, X86Mode } from './format.ts';

/** Figures of the cases of one group. */
export interface GroupFigures {
  readonly arch: string;
  readonly group: string;
  cases: number;
  probes: number;
  /** Probes with a recorded result. */
  compared: number;
  /** Those of them that agree. */
  agree: number;
}

/** Counts cases by group. */
export class Figures {
  readonly groups: Map<string, GroupFigures>;
  readonly all: GroupFigures;

  constructor() {
    this.groups = new Map();
    this.all = { arch: 'all', group: '', cases: 0, probes: 0, compared: 0, agree: 0 };
  }

  /** Counts a case of which `differences` probes differ. */
  add(arch: Arch, { mode, probes, results }: Case, differences: number): void {
    const group = groupOf(arch, mode);
    const key = `${arch} ${group}`;
    const figures = this.groups.get(key) ?? { arch, group, cases: 0, probes: 0, compared: 0, agree: 0 };
    this.groups.set(key, figures);
    const compared = results?.length ?? 0;
    for (const one of [figures, this.all]) {
      one.cases++;
      one.probes += probes.length;
      one.compared += compared;
      one.agree += compared - differences;
    }
  }

  /** By architecture and group, all of them last. */
  list(): GroupFigures[] {
    const sorted = [...this.groups].sort(([a], [b]) => (a < b ? -1 : 1));
    return [...sorted.map(([, figures]) => figures), this.all];
  }
}

/** What of a mode decides how tables look. */
function groupOf(arch: Arch, mode: Mode): string {
  if (arch === 'x86_64') {
    const { la57, maxphyaddr } = mode as X86Mode;
    return `${la57 ? 5 : 4} levels, ${maxphyaddr} bits`;
  }
  if (arch === 'riscv64') {
    const { levels, adue } = mode as Riscv64Mode;
    return `Sv${12 + 9 * levels}${adue ? ', ADUE' : ''}`;
  }
  const { granule, ds, ha, hd } = mode as Arm64Mode;
  return `${granule / 1024}K${ds ? ' LPA2' : ''}${ha ? ', HA' : ''}${hd ? ', HD' : ''}`;
}

/** A Markdown table. */
export function groupsTable(groups: readonly GroupFigures[]): string {
  const head = ['architecture', 'mode', 'cases', 'probes', 'compared', 'agree'];
  const rows = groups.map(({ arch, group, cases, probes, compared, agree }) =>
    [arch, group, cases, probes, compared, agree].map(String),
  );
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
