/** All time that this package sees. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Never jumps. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects as soon as the signal is aborted. Holds the process. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** The same, but a process with nothing else to do may end meanwhile. */
  rest(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Signals of the operating system. */
export interface ProcessSignals {
  /** Calls `handler` at each; answers how to stop. A runtime without signals never calls. */
  on(name: SignalName, handler: () => void): () => void;
  /** How many listen to it beside us. */
  others(name: SignalName, ours: () => void): number;
  /** Sends it to this process. */
  raise(name: SignalName): void;
}
export type SignalName = "SIGTERM" | "SIGINT" | "SIGHUP";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A signing key whose private half stays where it was made. */
export interface SigningKey {
  /** RFC 7517, of P-256. */
  readonly publicJwk: {
    readonly kty: string;
    readonly crv: string;
    readonly x: string;
    readonly y: string;
  };
  /** ECDSA over SHA-256, both numbers one after the other (RFC 7518 section 3.4). */
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

/** The runtime, as far as this package needs it; tests put others in its place. */
export interface Surroundings {
  readonly clock: Clock;
  /** Cryptographically random. */
  randomBytes(count: number): Uint8Array;
  /** A new key of P-256. */
  makeKey(): Promise<SigningKey>;
  sha256(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  readonly fetch: Fetch;
  /** One variable of the environment; reads no other, so that Deno asks for no other. */
  variable(name: string): string | undefined;
  readFile(path: string): Promise<string>;
  readonly signals: ProcessSignals;
  /** For what nobody awaits, such as an end that was not confirmed. */
  warn(warning: Error): void;
}
