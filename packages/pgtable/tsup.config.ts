import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { 'index': 'src/index.ts', 'dump': 'src/dump/index.ts', 'node': 'src/node.ts' },
  format: ['esm'],
  dts: false,
  sourcemap: true,
  splitting: true,
  clean: true,
  target: 'es2023',
});
