import type { Clock, Random } from "@mayfly/spec";
import type { Prompts } from "./prompts/prompts.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** All that the command sees of the world; `main.ts` has the real one. */
export interface Io {
  /** What was asked for. */
  out(text: string): void;
  /**
   * Waits until all of it has been taken: null. Otherwise the system's code of why it was not, such
   * as EPIPE of a reader that left or ENOSPC of a full disk; from then on nothing is written.
   */
  written(): Promise<string | null>;
  /** Errors, notes and questions. */
  err(text: string): void;
  /** Whether there is a terminal to colour, for either. */
  readonly colours: { readonly out: boolean; readonly err: boolean };
  /** Whether a person is there to answer {@link ask}. */
  readonly interactive: boolean;
  ask(question: string): Promise<string>;
  /** Asks that person for answers of more kinds than one line; loaded when somebody is asked. */
  prompts(): Promise<Prompts>;
  /** All of standard input; from a terminal one line, asked for and not shown. */
  readSecret(question: string): Promise<string>;
  /** All of standard input as text, at most 1 MiB. */
  readInput(): Promise<string>;
  /** Aborted by Ctrl-C. From the first call on, Ctrl-C no longer ends the process by itself. */
  interrupts(): AbortSignal;
  /** Aborted by SIGTERM, which from the first call on no longer ends the process by itself. */
  terminations(): AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: Fetch;
  /** IANA name, for times of day that a person reads. */
  readonly timeZone: string;
}
