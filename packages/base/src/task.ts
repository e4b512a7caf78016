/**
 * A coloured function (one in a `NAME.co.ts` file) returns a `Task<T>`: a generator that yields a scheduling point
 * (a number, see points.ts) wherever another CPU may run, and returns `T`. The plain build of the same function
 * returns `T` itself.
 */
export type Task<T> = Generator<number, T, void>;
