/**
 * Nominal typing, erased at run time. Only the `parse*` or `mint*` function of a brand makes
 * one.
 */
declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Plain JSON. `undefined` is not part of it: an absent member is an absent member. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** A JSON Schema document (draft 2020-12), from which API, CLI, console and docs are generated. */
export type JsonSchema = JsonObject;

/** The default arm of an exhaustive switch: a new variant fails the type check here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable variant: ${typeof value}`);
}
