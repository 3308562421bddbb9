declare const brand: unique symbol;

/**
 * A type of its own for values that look like any other `T`. Only the function that parses such a value returns one.
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
