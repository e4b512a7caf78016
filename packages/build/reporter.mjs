/** A vitest reporter: one line for each package and app, with its tests and their time. */
import { relative } from 'node:path';
import process from 'node:process';

/** The package or app that a file lies in, as `packages/NAME`. */
const homeOf = (file) => relative(process.cwd(), file).split('/').slice(0, 2).join('/');

export default class PackageReporter {
  onTestRunEnd(modules) {
    const rows = new Map();
    for (const module of modules) {
      const home = homeOf(module.moduleId);
      const row = rows.get(home) ?? { tests: 0, failed: 0, ms: 0 };
      for (const test of module.children.allTests()) {
        row.tests++;
        if (test.result().state === 'failed') row.failed++;
      }
      const { collectDuration, duration } = module.diagnostic();
      row.ms += collectDuration + duration;
      rows.set(home, row);
    }
    for (const [home, { tests, failed, ms }] of [...rows].sort()) {
      const result = `${String(tests).padStart(5)} tests ${(ms / 1000).toFixed(2).padStart(8)} s`;
      console.log(`${home.padEnd(20)} ${result}${failed > 0 ? `  ${failed} failed` : ''}`);
    }
  }
}
