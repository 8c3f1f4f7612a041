/** What the load generator is told to do, and what it tells afterwards: messages of its IPC. */
export interface LoadJob {
  readonly url: string;
  /** One exchange of Mayfly's, or OpenBao's login and then its credential. */
  readonly flow: "mayfly" | "openbao";
  readonly clients: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly issuer: string;
  readonly trustDomain: string;
  readonly kid: string;
  readonly privateKeyPem: string;
  /** Role that each exchange asks for; null opens a task without a credential. */
  readonly role: string | null;
  /** Exchanges a second, spread evenly, or as fast as the clients go. */
  readonly rate: number | null;
  /** Told apart from other rounds: it is part of each subject. */
  readonly round: string;
  /** Tokens to sign ahead; a client that finds none left signs one itself. */
  readonly tokens: number;
}

export interface LoadResult {
  /** In the measured time. */
  readonly ok: number;
  readonly perSecond: number;
  /** Of the measured time, by what was wrong; a status, or the error of the connection. */
  readonly errors: Readonly<Record<string, number>>;
  /** Those that were answered 429 or 503 with Retry-After. */
  readonly refused: number;
  /** All that were answered 200, the warm-up's too. */
  readonly okInAll: number;
  readonly latencyMs: Quantiles;
  /** Some of the credentials of the measured time. */
  readonly sample: readonly { readonly username: string; readonly password: string }[];
  /** Tokens that were signed within the measured time, which costs the rate. */
  readonly signedLate: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}
