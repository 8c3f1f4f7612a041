import type fc from "fast-check";

/** A parser that meets bytes of strangers, and what has to hold of it. */
export interface FuzzedParser {
  readonly name: string;
  readonly inputs: fc.Arbitrary<string>;
  /**
   * Parses, and says whether it accepted. Throws where something does not hold: an error that is
   * not the parser's own, or something accepted that does not encode to the same again.
   */
  check(input: string): boolean | Promise<boolean>;
}

/** A parser that refuses by throwing `isOwn`, and what it accepts is `again` when encoded anew. */
export function throwingParser<T>(of: {
  readonly name: string;
  readonly inputs: fc.Arbitrary<string>;
  readonly parse: (input: string) => T;
  readonly isOwn: (error: unknown) => boolean;
  /** Throws unless what was accepted, encoded and parsed again, is the same. */
  readonly again: (accepted: T, input: string) => void;
}): FuzzedParser {
  const { name, inputs } = of;
  return {
    name,
    inputs,
    check: (input) => {
      let accepted: T;
      try {
        accepted = of.parse(input);
      } catch (error) {
        if (of.isOwn(error)) return false;
        throw new Error(`${name} threw what is not its own error`, { cause: error });
      }
      of.again(accepted, input);
      return true;
    },
  };
}
