/** One text replacement and the tests that must fail by it. */
export interface Mutation {
  readonly row: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly test: string;
  readonly title: string;
}

/** Every row of the tables A.16, B.22 and E.1. */
export declare function tableRows(): string[];

/** Where list and tree have drifted apart, one line each; by default the workspace's own list. */
export declare function drift(
  root: string,
  list?: readonly Mutation[],
  others?: Readonly<Record<string, string>>,
  rows?: readonly string[],
): string[];
