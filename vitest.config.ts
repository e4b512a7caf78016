import { co } from '@mmkit/build';
import { defineConfig } from 'vitest/config';

const conditions = ['@mmkit/source', 'module', 'node', 'development|production'];

export default defineConfig({
  plugins: [co()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts'],
    testTimeout: 60_000,
    // The JSON file is where .ci/run counts the tests.
    reporters: [
      ['default', { summary: false }],
      './packages/build/reporter.mjs',
      ['json', { outputFile: 'node_modules/.cache/vitest.json' }],
    ],
  },
});
