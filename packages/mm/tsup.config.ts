import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { index: 'src/index.ts', sched: 'src/sched.ts' },
  format: ['esm'],
  dts: false,
  sourcemap: true,
  splitting: true,
  clean: true,
  target: 'es2023',
});
