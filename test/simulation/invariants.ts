import { parseId, type LedgerEvent, type TaskId } from "@mayfly/spec";
import type { FakeCredential } from "@mayfly/testkit";
import type { AgentsLog } from "./agents.ts";
import { FORBIDDEN, TIMES, type SimulatedInstallation } from "./installation.ts";

/**
 * What must hold, by the numbers of docs/invariants.md, told from outside: from what backends
 * accept, what agents were handed, and the rows. It knows nothing of how the core does it.
 */
export interface Violation {
  readonly invariant: number;
  readonly what: string;
}

const LIVE_STATES = new Set(["reserved", "active", "ending", "stuck"]);

/** Looks at one instant. Cheap enough to be done again and again while a history runs. */
export function lookNow(
  installation: SimulatedInstallation,
  agents: AgentsLog,
): readonly Violation[] {
  const found: Violation[] = [];
  for (const id of installation.backends) {
    for (const credential of installation.upstreams.get(id)?.live() ?? []) {
      found.push(...ofLiveCredential(installation, credential));
    }
  }
  for (const { child, parent } of agents.children)
    found.push(...ofChild(installation, child, parent));
  for (const what of installation.slotServer.wrongs) found.push({ invariant: 4, what });
  for (const what of agents.misled) found.push({ invariant: 9, what });
  return found;
}

function ofLiveCredential(
  { ledger, clock }: SimulatedInstallation,
  { name, groups }: FakeCredential,
): readonly Violation[] {
  const lease = ledger.inspect.lease(parseId("lease", `lease_${name.split("_").at(-1)}`, "name"));
  if (lease?.plan.externalName !== name)
    return [{ invariant: 1, what: `${name} lives and no row knows it` }];
  const found: Violation[] = [];
  if (!LIVE_STATES.has(lease.state)) {
    const ended = `${lease.state} as ${lease.outcome ?? "nothing"}`;
    found.push({ invariant: 1, what: `${lease.id} lives, and its row says ${ended}` });
  }
  if (lease.decisionId === null) {
    found.push({ invariant: 3, what: `${lease.id} lives, and nothing decided it` });
  }
  if (lease.role === FORBIDDEN.role && lease.workload === FORBIDDEN.workload) {
    found.push({ invariant: 3, what: `${lease.id} lives, and policy forbids it` });
  }
  const { exposure } = lease;
  if (exposure.kind === "none") {
    found.push({ invariant: 4, what: `${lease.id} lives, and is said to expose nothing` });
  } else if (exposure.kind === "until" && clock.now() > exposure.until + MARGIN_MS) {
    const late = Math.round(clock.now() - exposure.until);
    found.push({ invariant: 4, what: `${lease.id} lives ${late} ms past what it says` });
  }
  const granted = lease.plan.grant["groups"];
  if (Array.isArray(granted) && groups.some((group) => !granted.includes(group))) {
    found.push({ invariant: 5, what: `${lease.id} can do more than was decided` });
  }
  return found;
}
/** The row's own clock against the backend's. */
const MARGIN_MS = 2 * TIMES.clockSkewSecondsMax * 1000;

function ofChild(
  { ledger }: SimulatedInstallation,
  childId: TaskId,
  parentId: TaskId,
): readonly Violation[] {
  const [task, parent] = [ledger.inspect.task(childId), ledger.inspect.task(parentId)];
  if (task === null || parent === null) return [];
  const found: Violation[] = [];
  if (task.deadlineAt > parent.deadlineAt) {
    found.push({ invariant: 5, what: `${task.id} may last longer than its parent` });
  }
  if (task.state === "active" && parent.state !== "active") {
    // One statement ends both: there is no instant between them.
    found.push({ invariant: 5, what: `${task.id} is active under a parent that is not` });
  }
  const declared = new Set(parent.descriptor.credentials.map(({ role }) => role));
  const extra = task.descriptor.credentials.find(({ role }) => !declared.has(role));
  if (extra !== undefined) {
    found.push({ invariant: 5, what: `${task.id} declares ${extra.role}, its parent does not` });
  }
  return found;
}

/** What must hold when nothing goes wrong any more and time enough has passed. */
export function lookAtRest(
  installation: SimulatedInstallation,
  agents: AgentsLog,
): readonly Violation[] {
  const { ledger } = installation;
  const found = [...lookNow(installation, agents)];
  for (const lease of ledger.inspect.leases()) {
    // Either it really had come back, or it never was away: both are defects.
    if (lease.endReason === "resurfaced") {
      found.push({ invariant: 1, what: `${lease.id} was taken for an orphan` });
    }
    const recovered = installation.upstreams.get(lease.backendId)?.recovered;
    if (lease.outcome === "absent" && recovered?.has(lease.plan.externalName) === true) {
      found.push({ invariant: 10, what: `${lease.id} ended as absent, and we destroyed it` });
    }
    if (lease.state !== "ended") {
      const why = lease.lastError ?? "never tried";
      found.push({ invariant: 10, what: `${lease.id} is still ${lease.state}: ${why}` });
    }
  }
  for (const task of ledger.inspect.tasks()) {
    if (task.state === "active") {
      found.push({ invariant: 10, what: `${task.id} is still active after its deadline` });
    }
  }
  for (const id of installation.backends) {
    for (const { name } of installation.upstreams.get(id)?.live() ?? []) {
      found.push({ invariant: 1, what: `${name} still lives at ${id}` });
    }
  }
  return [...found, ...ofDeliveries(installation, agents), ...ofSecrets(installation, agents)];
}

function ofDeliveries(
  installation: SimulatedInstallation,
  { delivered }: AgentsLog,
): readonly Violation[] {
  const found: Violation[] = [];
  const secrets = new Map<string, string>();
  for (const one of delivered) {
    if (!one.activatedBefore) {
      found.push({ invariant: 2, what: `${one.lease} was handed out before it was durable` });
    }
    const earlier = secrets.get(one.password);
    if (earlier !== undefined) {
      found.push({ invariant: 2, what: `${one.lease} and ${earlier} were the same secret` });
    }
    secrets.set(one.password, one.lease);
    const upstream = installation.upstreams.get(one.backend);
    if (upstream?.logIn(one.username, one.password) === "accepted") {
      found.push({ invariant: 4, what: `${one.lease} still logs in` });
    }
  }
  return found;
}

function ofSecrets(
  { ledger, log }: SimulatedInstallation,
  { delivered }: AgentsLog,
): readonly Violation[] {
  const written = JSON.stringify([
    ledger.inspect.leases(),
    ledger.inspect.tasks(),
    ledger.inspect.events(),
    log.entries,
  ]);
  return delivered
    .filter(({ password }) => written.includes(password))
    .map(({ lease }) => ({ invariant: 8, what: `the secret of ${lease} is in the ledger or log` }));
}

/** Watches that the record of what happened only ever grows. */
export interface EventWatch {
  /** Of what came since, and of some that was there: cheap. */
  look(): readonly Violation[];
  /** Of all. */
  lookAtAll(): readonly Violation[];
}

const SAMPLE = 4;

export function watchEvents({ ledger }: SimulatedInstallation): EventWatch {
  const known: string[] = [];
  let from = 0;
  const text = ({ id, kind, at, data }: LedgerEvent): string =>
    JSON.stringify([id, kind, at, data]);
  const compare = (first: number, count: number): readonly Violation[] => {
    const events = ledger.inspect.events();
    for (let index = first; index < Math.min(first + count, known.length); index++) {
      const event = events[index];
      if (event === undefined || text(event) !== known[index]) {
        return [{ invariant: 7, what: `event ${index} was altered or lost` }];
      }
    }
    const found: Violation[] = [];
    for (let index = known.length; index < events.length; index++) {
      const event = events[index];
      if (event === undefined) continue;
      known.push(text(event));
      if (event.kind === "lease.resurfaced" || event.data["reason"] === "resurfaced") {
        found.push({ invariant: 1, what: `${event.leaseId} was taken for an orphan` });
      }
    }
    return found;
  };
  return {
    look: () => {
      const found = compare(from, SAMPLE);
      from = from + SAMPLE < known.length ? from + SAMPLE : 0;
      return found;
    },
    lookAtAll: () => compare(0, Number.POSITIVE_INFINITY),
  };
}
