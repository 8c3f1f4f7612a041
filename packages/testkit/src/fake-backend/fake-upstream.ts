import { BrokerError, plusSeconds, type Clock, type InstantMs } from "@mayfly/spec";

/** What the fake's upstream is made of: one credential, as a database has a role. */
export interface FakeCredential {
  readonly name: string;
  readonly id: number;
  readonly password: string;
  readonly groups: readonly string[];
  readonly tag: string;
  readonly expiresAt: InstantMs;
  /** From then on it is refused although it is still there: how `propagating` ends. */
  readonly refusedFrom: InstantMs | null;
  /** How many open sessions it has. */
  readonly sessions: number;
}

export type FakeOperation =
  | "issue"
  | "recover"
  | "revoke"
  | "probe"
  | "extend"
  | "list"
  | "selfCheck";

/**
 * What goes wrong at the next call of an operation.
 *
 * | fault                    | the caller sees           | the upstream                           |
 * | ------------------------ | ------------------------- | -------------------------------------- |
 * | `refuse`                 | effect none, never retry  | nothing                                |
 * | `unavailable`            | effect none, retry after  | nothing                                |
 * | `timeout_without_effect` | effect unknown            | nothing                                |
 * | `timeout_with_effect`    | effect unknown            | acted                                  |
 * | `late_effect`            | effect unknown            | acts when `deliverLate` is called      |
 * | `reset_after_effect`     | effect unknown            | acted; the connection was cut          |
 * | `rate_limited`           | effect none, in 3 s (429) | nothing                                |
 * | `internal_error`         | effect unknown (500)      | nothing                                |
 * | `twice`                  | the first answer          | acted twice: a repeated request        |
 * | `hang`                   | nothing, until aborted    | nothing; effect unknown after abortion |
 * | `pretend`                | success                   | nothing: the lie that a probe finds    |
 */
export type FakeFault =
  | "refuse"
  | "unavailable"
  | "timeout_without_effect"
  | "timeout_with_effect"
  | "late_effect"
  | "reset_after_effect"
  | "rate_limited"
  | "internal_error"
  | "twice"
  | "hang"
  | "pretend";

export interface FakeUpstreamOptions {
  readonly clock: Clock;
  /** Default `fake-upstream`. */
  readonly identity?: string;
  /** Whether a credential dies at its expiry without being revoked. Default true. */
  readonly refusesExpired?: boolean;
  /** Whether a request that arrives after its deadline is refused. Default true. */
  readonly testsDeadline?: boolean;
  /** Whether a creation takes the place of what bears its name, a tombstone too. Default false. */
  readonly upserts?: boolean;
  /** How long a revocation takes to be true everywhere; 0 for an immediate one. Default 0. */
  readonly propagationSeconds?: number;
}

export interface CreateRequest {
  readonly name: string;
  readonly password: string;
  readonly groups: readonly string[];
  readonly tag: string;
  readonly expiresAt: InstantMs;
  /** Refused when it arrives later, where the upstream tests that. */
  readonly issueBy: InstantMs;
}

/** A name that a tombstone holds, so that a late creation fails. */
export class NameTaken extends Error {
  override readonly name = "NameTaken";
}
export class PastDeadline extends Error {
  override readonly name = "PastDeadline";
}

/**
 * The outside world of the fake backend, in memory. Shared by all backends opened on it, as a
 * server is by processes; so a test that "restarts" the broker keeps the upstream.
 */
export class FakeUpstream {
  readonly clock: Clock;
  readonly identity: string;
  readonly #options: FakeUpstreamOptions;
  readonly #credentials = new Map<string, FakeCredential>();
  readonly #tombstones = new Map<string, InstantMs>();
  readonly #faults = new Map<FakeOperation, { fault: FakeFault; times: number }[]>();
  readonly #late: (() => void)[] = [];
  /** Names of what a `recover` destroyed, whoever learned of it. */
  readonly recovered = new Set<string>();
  readonly calls: { readonly operation: FakeOperation; readonly name: string }[] = [];
  #nextId = 1;

  constructor(options: FakeUpstreamOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.identity = options.identity ?? "fake-upstream";
  }

  /** The next `times` calls of the operation go wrong like this (default 1). */
  fail(operation: FakeOperation, fault: FakeFault, times = 1): void {
    const queue = this.#faults.get(operation) ?? [];
    queue.push({ fault, times });
    this.#faults.set(operation, queue);
  }
  /** From now on everything works. Effects that are still under way stay so. */
  heal(): void {
    this.#faults.clear();
  }
  takeFault(operation: FakeOperation): FakeFault | null {
    const queue = this.#faults.get(operation) ?? [];
    const first = queue[0];
    if (first === undefined) return null;
    first.times -= 1;
    if (first.times <= 0) queue.shift();
    return first.fault;
  }
  /** Keeps an effect until {@link deliverLate}. */
  postpone(effect: () => void): void {
    this.#late.push(effect);
  }
  /**
   * What was under way arrives now; what is refused (deadline, name taken) simply has no
   * effect.
   */
  deliverLate(): void {
    for (const effect of this.#late.splice(0)) {
      try {
        effect();
      } catch (refusal) {
        if (!BrokerError.is(refusal)) throw refusal;
      }
    }
  }

  create(request: CreateRequest): FakeCredential {
    if ((this.#options.testsDeadline ?? true) && this.clock.now() > request.issueBy) {
      throw new PastDeadline(request.name);
    }
    const taken = this.#credentials.has(request.name) || this.#tombstones.has(request.name);
    if (taken && this.#options.upserts !== true) {
      throw new NameTaken(request.name);
    }
    const { issueBy: _, ...rest } = request;
    const made = { ...rest, id: this.#nextId++, refusedFrom: null, sessions: 0 };
    this.#credentials.set(made.name, made);
    return made;
  }

  /** All or none of them, as one transaction. */
  createAll(requests: readonly CreateRequest[]): readonly FakeCredential[] {
    const made: FakeCredential[] = [];
    try {
      for (const request of requests) made.push(this.create(request));
    } catch (refusal) {
      for (const { name } of made) this.forget(name);
      throw refusal;
    }
    return made;
  }

  find(name: string): FakeCredential | null {
    return this.#credentials.get(name) ?? null;
  }
  /** All that are there; one whose refusal has propagated no longer is. */
  all(): readonly FakeCredential[] {
    const there = [...this.#credentials.values()].filter(
      ({ refusedFrom }) => refusedFrom === null || refusedFrom > this.clock.now(),
    );
    return there.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
  /** Those that still open a door, which is what invariants speak of. */
  live(): readonly FakeCredential[] {
    return this.all().filter((credential) => this.accepts(credential));
  }

  accepts(credential: FakeCredential): boolean {
    const now = this.clock.now();
    if (credential.refusedFrom !== null && now >= credential.refusedFrom) return false;
    return now < credential.expiresAt || !(this.#options.refusesExpired ?? true);
  }
  logIn(name: string, password: string): "accepted" | "refused" {
    const credential = this.#credentials.get(name);
    if (credential === undefined || credential.password !== password) return "refused";
    return this.accepts(credential) ? "accepted" : "refused";
  }
  openSession(name: string, password: string): void {
    const credential = this.#credentials.get(name);
    if (credential === undefined || this.logIn(name, password) === "refused") {
      throw new Error("the fake upstream refuses this credential");
    }
    this.#credentials.set(name, { ...credential, sessions: credential.sessions + 1 });
  }

  /** Since when it is refused everywhere, or null when nothing of that name and id was there. */
  destroy(name: string, id: number): InstantMs | null {
    const credential = this.#credentials.get(name);
    if (credential === undefined || credential.id !== id) return null;
    const seconds = this.#options.propagationSeconds ?? 0;
    if (seconds === 0) {
      this.#credentials.delete(name);
      return this.clock.now();
    }
    const refusedFrom = credential.refusedFrom ?? plusSeconds(this.clock.now(), seconds);
    this.#credentials.set(name, { ...credential, refusedFrom, sessions: 0 });
    return refusedFrom;
  }
  /** False when it is gone or on its way: an expiry never brings a credential back. */
  extend(name: string, id: number, expiresAt: InstantMs): boolean {
    const credential = this.#credentials.get(name);
    if (credential === undefined || credential.id !== id || credential.refusedFrom !== null) {
      return false;
    }
    this.#credentials.set(name, { ...credential, expiresAt });
    return true;
  }

  /** Removes it at once, whatever its revocation takes, as no backend would. */
  forget(name: string): void {
    this.#credentials.delete(name);
  }
  /** As somebody would who makes a look-alike. */
  forgeTag(name: string): void {
    const credential = this.#credentials.get(name);
    if (credential !== undefined) this.#credentials.set(name, { ...credential, tag: "00" });
  }
  takeName(name: string): InstantMs {
    const since = this.#tombstones.get(name) ?? this.clock.now();
    this.#tombstones.set(name, since);
    return since;
  }
  freeName(name: string): void {
    this.#tombstones.delete(name);
  }
}
