import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { main: 'src/main.ts', 'litmus-worker': 'src/litmus/worker.ts' },
  format: ['esm'],
  dts: false,
  sourcemap: true,
  clean: true,
  target: 'es2023',
  platform: 'node',
});
