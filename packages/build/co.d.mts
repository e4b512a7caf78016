/** The vite plugin that runs the strip step. */
export declare function co(root?: string): { name: string; buildStart(): void };
/** Makes all plain builds of a workspace. */
export declare function generate(root: string): { errors: string[]; changed: number };
