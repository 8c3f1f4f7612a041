import type { MutualTls } from "./http-client.ts";
import type { Moment } from "./slow-moments.ts";

/** What the load generator is told to do, and what it tells afterwards: messages of its IPC. */
export interface LoadJob {
  readonly url: string;
  /**
   * One exchange of Mayfly's; the same with a DPoP proof of a key of its own, by the certificate of
   * the connection, or with a token that somebody else signed; OpenBao's login and then its
   * credential; or a token of `oidc-provider` by client credentials.
   */
  readonly flow: "mayfly" | "dpop" | "x509" | "stranger" | "openbao" | "oidc-provider";
  /** Null: plain HTTP. */
  readonly tls: MutualTls | null;
  /** The address that it calls from; null: any of this machine's. */
  readonly source: string | null;
  readonly clients: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly issuer: string;
  readonly trustDomain: string;
  readonly kid: string;
  readonly privateKeyPem: string;
  /** Role that each exchange asks for; null opens a task without a credential. */
  readonly role: string | null;
  /**
   * Exchanges a second, spread evenly and begun when they are due, over at most `clients`
   * connections; or as fast as the clients go.
   */
  readonly rate: number | null;
  /** After the last answer and a pause, as {@link LoadResult.after} says. */
  readonly after: LoadAfter | null;
  /** Told apart from other rounds: it is part of each subject. */
  readonly round: string;
  /**
   * Requests to make ahead, tokens signed. When none is left a loop of clients ends, and its rate
   * is that of the time until then; at a rate that was asked for the round fails.
   */
  readonly requests: number;
}

export interface LoadAfter {
  /** From the end of the measured time until the next begins: what a refusal asks to wait. */
  readonly pauseSeconds: number;
  /** From that end until it is measured. */
  readonly fromSeconds: number;
  readonly clients: number;
  readonly seconds: number;
}

export interface LoadResult {
  /** In the measured time. */
  readonly ok: number;
  readonly perSecond: number;
  /** Of the measured time, by what was wrong; a status, or the error of the connection. */
  readonly errors: Readonly<Record<string, number>>;
  /** Begun in the measured time. */
  readonly begun: number;
  /** Those that were answered 429 or 503 with Retry-After. */
  readonly refused: number;
  /** The first thousand of them, by what they said. */
  readonly refusedFor: Readonly<Record<string, number>>;
  /** The longest time from when a request was due until it was sent: these came in a lump. */
  readonly begunLateMs: number;
  /** All that were answered 200, the warm-up's too. */
  readonly okInAll: number;
  /** From when it was due, or begun. */
  readonly latencyMs: Quantiles;
  /** When the slowest percent of these was under way. */
  readonly slowest: readonly Moment[];
  /** Some of the credentials of the measured time. */
  readonly sample: readonly { readonly username: string; readonly password: string }[];
  /** Access tokens of the same replies. */
  readonly sampleTokens: readonly string[];
  /** As fast as the clients go, after the measured time: whether the other side is itself again. */
  readonly after: { readonly perSecond: number; readonly refused: number } | null;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}
