import type { AuthorityDocument, Clock } from "@mayfly/spec";

/** So many questions of strangers are answered by one reading and one signature. */
const FRESH_MS = 1_000;
/** Those of every key of an authority, and what is of none. */
const NAMES_MAX = 64;

/** The documents of an authority, each made at most once a second, whoever asks. */
export function keptDocuments(
  clock: Clock,
  make: (name: string) => Promise<AuthorityDocument | null>,
): (name: string) => Promise<AuthorityDocument | null> {
  const kept = new Map<
    string,
    { readonly atMs: number; readonly document: Promise<AuthorityDocument | null> }
  >();
  return async (name) => {
    const atMs = clock.monotonicMs();
    const known = kept.get(name);
    if (known !== undefined && atMs - known.atMs < FRESH_MS) return known.document;
    const made = { atMs, document: make(name) };
    const forget = (): void => {
      if (kept.get(name) === made) kept.delete(name);
    };
    kept.set(name, made);
    if (kept.size > NAMES_MAX) kept.delete(kept.keys().next().value ?? name);
    try {
      const document = await made.document;
      // What there is not could be asked for by any name.
      if (document === null) forget();
      return document;
    } catch (error) {
      forget();
      throw error;
    }
  };
}
