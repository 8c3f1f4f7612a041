import type { Clock, CredentialBackend, Issued, PoolingHost } from "@mayfly/spec";
import type { TestSlots } from "../test-slots.ts";

/** An input that `parse*` has to refuse, and what its message has to name. */
export interface BadInput {
  readonly input: unknown;
  readonly names: string;
}

export interface ParseCases {
  /** The first one is the fullest. */
  readonly valid: readonly unknown[];
  readonly bad: readonly BadInput[];
}

/** What the suite needs to know of one backend type. */
export interface BackendContractSubject {
  readonly name: string;
  readonly backend: CredentialBackend;
  readonly inputs: {
    readonly config: ParseCases & {
      /** What `describeConfig` must not show of the first valid one. */
      readonly secrets: readonly string[];
    };
    readonly role: ParseCases;
    readonly params: ParseCases;
    /**
     * One role and two requests within it, the second asking for strictly less. Of a standing
     * secret nobody can ask for less: both are the same, and nothing is too wide.
     */
    readonly narrowing: {
      readonly role: unknown;
      readonly wide: unknown;
      readonly narrow: unknown;
      /** Requests that parse and go beyond the role. */
      readonly tooWide: readonly unknown[];
    };
  };
  /**
   * A configuration, within the type's rules, of an upstream that refuses connections; null where
   * there is no such thing (the fake's is in memory).
   */
  readonly unreachableConfig: unknown;
  /**
   * What the suite puts faults into: `tcp` loses and cuts connections, `http` answers in the place
   * of the upstream too. Null where there is no network (the fake's is in memory).
   */
  readonly protocol: "tcp" | "http" | null;
  /**
   * Why, for a type whose credentials are verified without an upstream of its own: nothing is kept
   * under a lease's name, and so `recover` can only say when what may be out dies by itself. Whom
   * its ends tell is its upstream all the same, where it has a `protocol`: a mint never asks it.
   */
  readonly selfContained?: string;
  /** Starts an upstream for the whole suite. */
  start(): Promise<ContractUpstream>;
}

/** An upstream as the suite drives it, without going through the backend. */
export interface ContractUpstream {
  readonly clock: Clock;
  /** Configuration, role and request that work on this upstream. */
  readonly config: unknown;
  readonly role: unknown;
  readonly params: unknown;
  /** A host of this installation (8 of a-z, 2-7; default the suite's own). */
  host(installation?: string): PoolingHost;
  /** Lets time pass, on the clock that the upstream obeys. */
  pass(ms: number): Promise<void>;
  /** Presents the credential as its user would. */
  tryCredential(material: Issued["material"]): Promise<"accepted" | "refused">;
  openSession(material: Issued["material"]): Promise<HeldSession>;
  /** Names of all that bears a mark and can be used, seen with the upstream's own eyes. */
  liveNames(): Promise<readonly string[]>;
  /** Until `release`, what is sent takes no effect; then it may. */
  block(): Promise<{ release(): Promise<void> }>;
  /** Makes the mark of `name` one that does not verify. */
  forgeMark(name: string): Promise<void>;
  /**
   * Where the upstream listens, without TLS, and a configuration that reaches it elsewhere; null
   * where the subject's `protocol` is.
   */
  readonly route: UpstreamRoute | null;
  /** Takes a right away that `selfCheck` has to miss; until `restore`. */
  weaken(): Promise<{ restore(): Promise<void> }>;
  stop(): Promise<void>;
  /** Of a pooled type, and of no other. */
  readonly pool?: ContractPool;
  /** Of a type of standing secrets, and of no other: see {@link StandingSecret}. */
  readonly standing?: StandingSecret;
}

/** A secret that the upstream had before Mayfly, and whoever keeps it. */
export interface StandingSecret {
  /** The upstream accepts another one from now on; the configuration that has it. */
  replace(): Promise<unknown>;
}

export interface ContractPool {
  /** What the hosts' slots are: the suite ends leases there, as the core would. */
  readonly slots: TestSlots;
  /** What the type makes of the hosts' quarantine. */
  readonly quarantineSeconds: number;
  /** A configuration over so many slots that nobody had. */
  configOf(count: number): unknown;
}

export interface UpstreamRoute {
  readonly host: string;
  readonly port: number;
  configAt(at: { readonly host: string; readonly port: number }): unknown;
}

export interface HeldSession {
  /** Whether it can still do something. */
  alive(): Promise<boolean>;
  close(): Promise<void>;
}
