import type { z } from "zod";

/** What a view returns for an answer's schema: the same members, none of them to be changed. */
export type View<S extends z.ZodType> = Viewed<z.output<S>>;

type Viewed<T> = T extends readonly (infer U)[]
  ? readonly Viewed<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Viewed<T[K]> }
    : T;
