import { co } from '@mmkit/build';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const conditions = ['@mmkit/source', 'module', 'node', 'development|production'];

/** The suite of gup again, for the formats with pages of so many bytes. */
function gupWithPages(pageSize: number): TestProjectInlineConfiguration {
  const env = { PAGE_SIZE: String(pageSize) };
  return { extends: true, test: { name: `pages of ${pageSize}`, include: ['packages/gup/test/**/*.test.ts'], env } };
}

export default defineConfig({
  plugins: [co()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'all', include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts'] } },
      gupWithPages(16384),
      gupWithPages(65536),
    ],
    // The JSON file is where .ci/run counts the tests.
    reporters: [
      ['default', { summary: false }],
      './packages/build/reporter.mjs',
      ['json', { outputFile: 'node_modules/.cache/vitest.json' }],
    ],
  },
});
