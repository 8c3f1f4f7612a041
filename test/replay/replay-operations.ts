import { isDeepStrictEqual } from "node:util";
import type { Ledger } from "@mayfly/postgres";
import { BrokerError, type InstantMs } from "@mayfly/spec";
import type {
  RecordedOperation,
  RecordedPort,
  SlotsPort,
} from "../simulation/record-operations.ts";

/** A ledger on PostgreSQL whose clock this test sets. */
export interface ReplayTarget {
  readonly ports: Pick<Ledger, Exclude<RecordedPort, "slots">> & { readonly slots: SlotsPort };
  setClock(at: InstantMs): Promise<void>;
  /** Nobody has a slot, nor had one: a history's pool is a new one, under the same names. */
  forgetSlots(): Promise<void>;
}

/** A call that came to something else than on the model. */
export interface Difference {
  readonly operation: string;
  readonly model: unknown;
  readonly postgres: unknown;
}

/** Sweeps that found nothing are most of a history's calls: of these each so manieth is made. */
const IDLE_EVERY = 48;
const SWEEPING: ReadonlySet<string> = new Set([
  "dueTasks",
  "endStrays",
  "dueBackends",
  "claim",
  "abandoned",
  "adoptOrphans",
]);
/** Not of the history: the catalog is written once, ages of sweeps are the real time's. */
const LEFT_OUT: ReadonlySet<string> = new Set(["now", "recordSweep"]);

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/** Plays the calls of histories, one by one, each history after the other. */
export class Replay {
  readonly #target: ReplayTarget;
  readonly #catalogVersions = new Map<number, number>();
  #clockAt: InstantMs | null = null;
  #idle = 0;
  made = 0;

  constructor(target: ReplayTarget) {
    this.#target = target;
  }

  /** Writes the catalog of a history: the same one for all that follow. */
  async furnish(operations: readonly RecordedOperation[], modelVersion: number): Promise<void> {
    for (const operation of operations) {
      if (operation.port === "catalog" && /^(put|activate)/.test(operation.method)) {
        await this.#call(operation, operation.args.map(undecided));
      }
    }
    this.#catalogVersions.set(modelVersion, await this.#target.ports.catalog.version());
  }

  /** The first difference, or null. */
  async play(
    history: string,
    operations: readonly RecordedOperation[],
  ): Promise<Difference | null> {
    const names = new Map<string, string>();
    await this.#target.forgetSlots();
    for (const operation of operations) {
      if (!this.#isPlayed(operation)) continue;
      const args = operation.args.map((arg) => this.#translate(history, names, arg));
      const postgres = await this.#outcomeOf(operation, args);
      learnNames(names, operation, postgres);
      const shown = shapeOf(operation.method, translated(names, operation.outcome));
      const seen = shapeOf(operation.method, postgres);
      if (!isDeepStrictEqual(shown, seen)) {
        const place = `${history}: ${operation.port}.${operation.method} at ${operation.at}`;
        return { operation: place, model: shown, postgres: seen };
      }
    }
    return null;
  }

  #isPlayed({ port, method, outcome }: RecordedOperation): boolean {
    if (port === "catalog" || outcome === null || LEFT_OUT.has(method)) return false;
    if (!SWEEPING.has(method) || !foundNothing(outcome)) return true;
    return this.#idle++ % IDLE_EVERY === 0;
  }

  async #outcomeOf(
    operation: RecordedOperation,
    args: readonly unknown[],
  ): Promise<RecordedOperation["outcome"]> {
    if (this.#clockAt !== operation.at) await this.#target.setClock(operation.at);
    this.#clockAt = operation.at;
    this.made++;
    try {
      return { kind: "returned", value: await this.#call(operation, args) };
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
      return { kind: "refused", code: error.code };
    }
  }

  #call({ port, method }: RecordedOperation, args: readonly unknown[]): Promise<unknown> {
    const call: unknown = Reflect.get(this.#target.ports[port], method);
    if (typeof call !== "function") throw new Error(`the ledger has no ${port}.${method}`);
    return (call as Call)(...args);
  }

  /** Names that the ledger made itself, keys that two histories share, the catalog's version. */
  #translate(history: string, names: ReadonlyMap<string, string>, value: unknown): unknown {
    if (typeof value === "string") return names.get(value) ?? value;
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((one) => this.#translate(history, names, one));
    const entries = Object.entries(value).map(([key, member]: [string, unknown]) => {
      if (key === "key" && "scopeSha256" in value) return [key, `${history} ${String(member)}`];
      if (key === "catalogVersion" && typeof member === "number") {
        return [key, this.#catalogVersions.get(member) ?? member + 1_000_000];
      }
      return [key, this.#translate(history, names, member)];
    });
    return Object.fromEntries(entries) as unknown;
  }
}

/** The version that a change was decided at is the model's own. */
const undecided = (arg: unknown): unknown =>
  typeof arg === "object" && arg !== null && "decidedAt" in arg ? { ...arg, decidedAt: null } : arg;

const foundNothing = (outcome: RecordedOperation["outcome"]): boolean => {
  if (outcome?.kind !== "returned") return false;
  const { value } = outcome;
  if (typeof value === "object" && value !== null && "orphans" in value) {
    return Array.isArray(value.orphans) && value.orphans.length === 0;
  }
  return value === 0 || (Array.isArray(value) && value.length === 0);
};

/** A claim's token and the id of an end by selector are each ledger's own. */
function learnNames(
  names: Map<string, string>,
  { method, outcome }: RecordedOperation,
  postgres: RecordedOperation["outcome"],
): void {
  if (outcome?.kind !== "returned" || postgres?.kind !== "returned") return;
  if (method === "claim") {
    const tokens = new Map(claimsOf(postgres.value).map(({ leaseId, token }) => [leaseId, token]));
    for (const { leaseId, token } of claimsOf(outcome.value)) {
      names.set(token, tokens.get(leaseId) ?? NOBODYS_TOKEN);
    }
  }
  const [model, own] = [idOf(outcome.value), idOf(postgres.value)];
  if (method === "request" && model !== null && own !== null) names.set(model, own);
}
const NOBODYS_TOKEN = "00000000-0000-7000-8000-000000000000";

const claimsOf = (value: unknown): readonly { leaseId: string; token: string }[] =>
  Array.isArray(value) ? (value as { leaseId: string; token: string }[]) : [];
const idOf = (value: unknown): string | null =>
  typeof value === "object" && value !== null && "id" in value && typeof value.id === "string"
    ? value.id
    : null;

function translated(names: ReadonlyMap<string, string>, value: unknown): unknown {
  if (typeof value === "string") return names.get(value) ?? value;
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one) => translated(names, one));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, translated(names, member)]),
  );
}

/** Of a result, what both ledgers promise: not a row's version, nor an order nobody promised. */
const OWN: ReadonlySet<string> = new Set(["version", "next"]);
/** Results whose order is promised. */
const ORDERED: ReadonlySet<string> = new Set(["leasesBelow", "reserve"]);

/**
 * An instant of the ledger is kept to the microsecond and read in whole milliseconds: what is less
 * than half of one before a millisecond is that millisecond. Seconds it counts to the microsecond.
 */
const shownNumber = (value: number): number => {
  const rounded = Math.round(value * 1_000) / 1_000;
  return value > INSTANTS_FROM ? Math.floor(rounded) : rounded;
};
const INSTANTS_FROM = 1e12;

export function shapeOf(method: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "number") return shownNumber(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const shapes: readonly unknown[] = value.map((one) => shapeOf(method, one));
    return ORDERED.has(method)
      ? shapes
      : shapes
          .map((shape) => ({ shape, text: JSON.stringify(shape) }))
          .toSorted((a, b) => (a.text < b.text ? -1 : 1))
          .map(({ shape }) => shape);
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, member]) => !OWN.has(key) && member !== undefined)
      .map(([key, member]) => [key, shapeOf(method, member)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}
