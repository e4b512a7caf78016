interface Manifest {
  name: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  exports: Record<string, string | Record<string, string>>;
}
/** What a tarball's list of files and its package.json get wrong. */
export declare function tarballFaults(manifest: Manifest, files: string[], sources: string[]): string[];
/** Packages that lie in two places, by the paths that `npm ls --all --parseable` prints. */
export declare function twice(paths: string[]): string[];
