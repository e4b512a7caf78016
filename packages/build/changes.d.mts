/** What the changesets of a workspace get wrong, as `file: text`. */
export declare function faults(root: string): string[];
