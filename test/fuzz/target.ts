import type { ApiDocument } from "./api-document.ts";
import type { Examples } from "./corpus.ts";
import type { Places, ReadyRequest } from "./fuzz-request.ts";
import type { FuzzAnswer } from "./judge-answer.ts";

/** Whom a request may come from. */
export type Rights = "strangers" | "administrators";

/** A broker that is sent requests, and that can be asked afterwards what became of it. */
export interface Target extends AsyncDisposable {
  readonly api: ApiDocument;
  readonly places: Places;
  /** Names of places: tokens of somebody, and tokens of nobody. */
  readonly tokens: readonly [string, ...string[]];
  readonly forged: readonly [string, ...string[]];
  readonly administrators: readonly string[];
  readonly known: Readonly<Record<string, readonly [string, ...string[]]>>;
  readonly examples: Examples;
  readonly secrets: readonly string[];
  readonly isRaw: boolean;
  /** How many requests are on their way at once. */
  readonly concurrency: number;
  send(request: ReadyRequest): Promise<FuzzAnswer>;
  /** Called once for every request that was acknowledged, for the last look. */
  acknowledged(request: ReadyRequest): void;
  /**
   * What is not as it was, in words: something registered, minted or ended that should not be, a
   * broken ledger, a sick broker. Ends with the control: a sound exchange, which mints.
   */
  look(): Promise<readonly string[]>;
}
