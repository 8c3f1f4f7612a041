import type fc from "fast-check";
import { damagedText } from "./damaged-text.ts";
import type { Shape } from "./grown-text.ts";

/** What has to hold of what was accepted: throws where it does not encode to the same again. */
export type EncodesAgain = () => void | Promise<void>;

/** A parser that meets bytes of strangers, and what has to hold of it. */
export interface FuzzedParser {
  readonly name: string;
  /** Sound inputs, and what is left of them when some things were done to them. */
  readonly inputs: fc.Arbitrary<string>;
  /** Some that are accepted: any part of them is repeated until the limit is reached. */
  readonly sound: readonly string[];
  /** Characters that whoever reads before it lets through. */
  readonly limit: number;
  /** What is large in ways of its own. */
  readonly shapes: readonly Shape[];
  /**
   * Null where it was refused. Throws where the parser threw what is not its own error. This alone
   * is measured, and not what is done to see that it encodes to the same again.
   */
  parse(input: string): EncodesAgain | null | Promise<EncodesAgain | null>;
}

/** A parser that refuses by throwing `isOwn`, and what it accepts is `again` when encoded anew. */
export function throwingParser<T>(of: {
  readonly name: string;
  readonly sound: readonly string[];
  readonly limit: number;
  readonly shapes?: readonly Shape[];
  /** Default: the sound ones, damaged. */
  readonly inputs?: fc.Arbitrary<string>;
  readonly parse: (input: string) => T;
  readonly isOwn: (error: unknown) => boolean;
  /** Throws unless what was accepted, encoded and parsed again, is the same. */
  readonly again: (accepted: T, input: string) => void;
}): FuzzedParser {
  const { name, sound, limit, shapes = [], inputs = damagedText(sound) } = of;
  return {
    name,
    sound,
    limit,
    shapes,
    inputs,
    parse: (input) => {
      let accepted: T;
      try {
        accepted = of.parse(input);
      } catch (error) {
        if (of.isOwn(error)) return null;
        throw new Error(`${name} threw what is not its own error`, { cause: error });
      }
      return () => of.again(accepted, input);
    },
  };
}
