/** The packages of npm measured beside ours that come without types: as far as the rows call them. */

declare module 'bintrees' {
  export class RBTree<T> {
    constructor(compare: (a: T, b: T) => number);
    insert(item: T): boolean;
    remove(item: T): boolean;
    upperBound(item: T): { prev(): T | null };
  }
}

declare module 'functional-red-black-tree' {
  export interface Tree<K, V> {
    insert(key: K, value: V): Tree<K, V>;
    remove(key: K): Tree<K, V>;
    le(key: K): { readonly value: V };
  }
  export default function createTree<K, V>(compare: (a: K, b: K) => number): Tree<K, V>;
}

declare module 'rwlock' {
  export default class ReadWriteLock {
    readLock(body: (release: () => void) => void): void;
    writeLock(body: (release: () => void) => void): void;
  }
}
