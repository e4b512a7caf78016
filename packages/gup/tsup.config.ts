import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { 'index': 'src/index.ts', 'sched': 'src/sched.ts', 'classic': 'src/classic.ts', 'classic-sched': 'src/classic-sched.ts' },
  format: ['esm'],
  dts: false,
  sourcemap: true,
  splitting: true,
  clean: true,
  target: 'es2023',
});
