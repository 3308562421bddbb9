declare const brand: unique symbol;

/** A type of its own for values that look like any other `T`: only the function that parses one makes one. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
