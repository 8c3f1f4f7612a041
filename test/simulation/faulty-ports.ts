import { BrokerError, type BackendOperations, type OpenBackend } from "@mayfly/spec";
import type { CallContext, CredentialBackend, RevocationOperations } from "@mayfly/spec";
import type { FakeFault, FakeUpstream } from "@mayfly/testkit";
import { BATCHING } from "./batched-mints.ts";
import { BACKEND_FAULTS, type SimulatedOperation } from "./faults.ts";
import { oftenAt } from "./places.ts";
import { POOL } from "./pooled-slots.ts";
import type { Machine, SimulatedProcess } from "./simulated-process.ts";

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/**
 * A port of the core as one process sees it: each of its named methods is an await at which the
 * process may die before and after the effect; what is not named passes through.
 */
function throughProcess<Port extends object>(
  port: Port,
  methods: readonly (keyof Port & string)[],
  run: (method: string, call: () => Promise<unknown>) => Promise<unknown>,
): Port {
  const wrapped = new Set<string>(methods);
  const made = new Map<string | symbol, unknown>();
  return new Proxy(port, {
    get: (target, name) => {
      if (made.has(name)) return made.get(name);
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      const call = member.bind(target) as Call;
      const isWrapped = typeof name === "string" && wrapped.has(name);
      const own = isWrapped
        ? (...args: readonly unknown[]) => run(name, () => call(...args))
        : call;
      made.set(name, own);
      return own;
    },
  });
}

/** A port of the ledger: calls fail before they do anything, or commit and are not acknowledged. */
export function faultyLedgerPort<Port extends object>(
  machine: Machine,
  process: SimulatedProcess,
  port: Port,
  methods: readonly (keyof Port & string)[],
  name = "ledger",
): Port {
  const { draw, strikes } = machine;
  return throughProcess(port, methods, async (method, call) => {
    const place = `${name}.${method}`;
    const rate = (): number => (machine.rates.ledger / 2) * oftenAt(machine.focus, place);
    await process.pass(`${place}, before`);
    if (draw.chance(rate())) {
      strikes.add(place, "unreachable");
      throw unavailable(place);
    }
    const result = await call();
    await process.pass(`${place}, after`);
    if (draw.chance(rate())) {
      strikes.add(place, "acknowledgement lost");
      throw unavailable(place);
    }
    return result;
  });
}

/** Any other port: no faults of its own, but awaits at which the process may die. */
export function mortalPort<Port extends object>(
  process: SimulatedProcess,
  name: string,
  port: Port,
  methods: readonly (keyof Port & string)[],
): Port {
  return throughProcess(port, methods, async (method, call) => {
    await process.pass(`${name}.${method}, before`);
    const result = await call();
    await process.pass(`${name}.${method}, after`);
    return result;
  });
}

const unavailable = (place: string): BrokerError =>
  new BrokerError("ledger_unavailable", `${place} could not be done`, { retryAfterSeconds: 1 });

/** A backend type as one process sees it, with the faults of its upstream. */
export function faultyBackend(
  machine: Machine,
  process: SimulatedProcess,
  type: CredentialBackend,
  upstream: FakeUpstream,
): CredentialBackend {
  return {
    ...type,
    open: (config, host) => faultyOpen(machine, process, type, upstream, type.open(config, host)),
  };
}

function faultyOpen(
  machine: Machine,
  process: SimulatedProcess,
  type: CredentialBackend,
  upstream: FakeUpstream,
  open: OpenBackend,
): OpenBackend {
  const around = <T>(operation: SimulatedOperation, context: CallContext, call: () => Promise<T>) =>
    aroundCall({ machine, process, type, upstream, operation }, context, call);
  const operations: BackendOperations = {
    ...open,
    issue: (plan, context) => around("issue", context, () => open.issue(plan, context)),
    recover: (plan, checkpoint, context) =>
      around("recover", context, () => open.recover(plan, checkpoint, context)),
    renewal: renewalOf(open.renewal, around),
    listing: listingOf(open.listing, around),
  };
  if (open.revocation === "none") return { ...operations, revocation: "none" };
  const revoking: RevocationOperations = {
    revoke: (handle, context) => around("revoke", context, () => open.revoke(handle, context)),
    probe: (handle, context) => around("probe", context, () => open.probe(handle, context)),
  };
  return { ...operations, ...revoking, revocation: open.revocation };
}

type Around = <T>(
  operation: SimulatedOperation,
  context: CallContext,
  call: () => Promise<T>,
) => Promise<T>;

const renewalOf = (renewal: OpenBackend["renewal"], around: Around): BackendOperations["renewal"] =>
  renewal.kind === "none"
    ? renewal
    : {
        kind: "extend",
        extend: (plan, handle, at, context) =>
          around("extend", context, () => renewal.extend(plan, handle, at, context)),
      };

const listingOf = (listing: OpenBackend["listing"], around: Around): BackendOperations["listing"] =>
  listing.kind === "none"
    ? listing
    : {
        kind: "marked",
        list: (after, context) => around("list", context, () => listing.list(after, context)),
      };

interface BackendCall {
  readonly machine: Machine;
  readonly process: SimulatedProcess;
  readonly type: CredentialBackend;
  readonly upstream: FakeUpstream;
  readonly operation: SimulatedOperation;
}

/**
 * One call over the network. What is on the wire when its process dies arrives all the same, within
 * the type's longest call; that is what `settleBy` is for.
 */
async function aroundCall<T>(
  at: BackendCall,
  context: CallContext,
  call: () => Promise<T>,
): Promise<T> {
  const { machine, process, upstream, operation } = at;
  const { draw, strikes } = machine;
  const place = `backend.${operation}`;
  await process.pass(`${place}, before`);
  context.signal.throwIfAborted();
  if (operation === "issue" && !hasOwnFaults(at) && draw.chance(machine.rates.kill * 5)) {
    strikes.add(place, "kill, request on the wire");
    sendAndForget(at, call);
    process.kill();
    return new Promise<never>(() => undefined);
  }
  if (!hasOwnFaults(at) && machine.away.has(upstream.identity)) {
    const fault = draw.of<FakeFault>(["unavailable", "hang"]);
    strikes.add(place, `away: ${fault}`);
    upstream.fail(operation, fault);
  } else if (
    !hasOwnFaults(at) &&
    draw.chance(machine.rates.backend * oftenAt(machine.focus, place))
  ) {
    const fault = draw.of<FakeFault>(BACKEND_FAULTS[operation]);
    strikes.add(place, fault);
    upstream.fail(operation, fault);
    if (fault === "late_effect") deliverLater(at);
  }
  const answer = call();
  // What the call did not take, because it sent nothing, is not for the next one.
  upstream.heal();
  const result = await answer;
  await process.pass(`${place}, after`);
  return result;
}

/** A batched mint meets its faults where its batch is sent, a pool where a request of it is. */
const hasOwnFaults = ({ operation, type }: BackendCall): boolean =>
  type.type === POOL || (operation === "issue" && type.type === BATCHING);

function sendAndForget(at: BackendCall, call: () => Promise<unknown>): void {
  at.upstream.fail(at.operation, "late_effect");
  // It answers at once that its outcome is unknown; nobody is there to hear it.
  call().catch(() => undefined);
  at.upstream.heal();
  deliverLater(at);
}

function deliverLater({ machine, type, upstream }: BackendCall): void {
  const mostMs = type.capabilities.issueCallSecondsMax * 1000;
  const ms = machine.draw.between(1, mostMs);
  machine.clock.sleep(ms).then(
    () => upstream.deliverLate(),
    () => undefined,
  );
}
