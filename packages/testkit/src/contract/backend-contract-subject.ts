import type {
  AuthorityDocument,
  Clock,
  CredentialBackend,
  Issued,
  PoolingHost,
  Secret,
} from "@mayfly/spec";
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
  /** Of a type that signs tokens, and of no other. */
  readonly tokens?: ContractTokens;
  /** Of a type that certifies, and of no other. */
  readonly authority?: ContractAuthority;
  /** Of a type that looks after something that its leases share, and of no other. */
  readonly upkeep?: ContractUpkeep;
  /** Of a type with a rotation, and of no other. */
  readonly rotation?: ContractRotation;
}

/** Logins of the broker whose secret a test may replace. */
export type ContractRotation = {
  /** What they are opened with. Default: a host of the upstream's. */
  readonly host?: PoolingHost;
} & (
  | { readonly madeBy: "mayfly"; login(): Promise<RotatedLogin> }
  | { readonly madeBy: "upstream"; login(): Promise<ObtainedLogin> }
);

/** One of which nobody else has need until it is given back. */
export interface RotatedLogin {
  /** With all that the type needs. */
  readonly config: unknown;
  /** Whatever became of it, the upstream's own `config` is let in again. */
  giveBack(): Promise<void>;
}

export interface ObtainedLogin extends RotatedLogin {
  readonly lost: LostSecret;
  /** Takes away the right to make a secret; until `restore`. */
  forbid(): Promise<{ restore(): Promise<void> }>;
}

/** What becomes of a secret that the upstream made and nobody kept. */
export type LostSecret =
  | {
      readonly kind: "destroyed";
      /** Puts forward the clock of the rotation's host. */
      later(ms: number): void;
    }
  | {
      readonly kind: "ends_by_itself";
      /** How long the configuration's secret still lives, as the upstream says. */
      secondsLeft(config: unknown): Promise<number>;
      readonly secondsMax: number;
    };

/** The keys that tokens are signed with, as verifiers and administrators see them. */
export interface ContractTokens {
  /** Which key signed it, as it says itself. */
  keyIdOf(token: Secret): string;
  /** As an administrator does with a key that leaked. */
  retire(keyId: string): Promise<void>;
  /** After so long every process knows of it. */
  readonly retiredWithinSeconds: number;
}

/** The documents by which an upstream decides whom to let in. */
export interface ContractAuthority {
  /** The name of the one that says whom to trust. */
  readonly trust: string;
  /** The name of the one that says what has ended. */
  readonly ended: string;
  /** Whether that one names what was issued, as the upstream's own programs read it. */
  lists(document: AuthorityDocument, issued: Issued): Promise<boolean>;
}

/** What leases share at the upstream. */
export interface ContractUpkeep {
  /** Takes away whatever of it ended leases. */
  lose(): Promise<void>;
  /** Takes away the right to put it back; until `restore`. */
  forbid(): Promise<{ restore(): Promise<void> }>;
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
