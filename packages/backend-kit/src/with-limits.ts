import {
  BackendError,
  InvalidInput,
  durationSeconds,
  linkSignals,
  type BackendHost,
  type BudgetUse,
  type CallContext,
  type CredentialBackend,
  type IssueContext,
  type Json,
  type JsonObject,
  type JsonSchema,
  type OpenBackend,
  type PoolingHost,
} from "@mayfly/spec";
import { aroundCalls, type BackendOperation } from "./around-calls.ts";
import { Breaker, type BreakerState, type CallResult } from "./breaker.ts";
import { CallLanes, type Lane } from "./call-lanes.ts";
import { HeldBack } from "./held-back.ts";
import { LIMITS_SCHEMA, limitProblems, parseLimits, type LimitSettings } from "./limit-settings.ts";
import { notSent } from "./refuse-late.ts";
import { SharedTokens, rateOf, type DrawOutcome } from "./shared-tokens.ts";

/** Who is told of it, for metrics. */
export interface LimitWatch {
  breaker(backend: string, state: BreakerState): void;
  /** A call was not made. */
  heldBack(backend: string, reason: HeldBack["reason"] | "breaker"): void;
  /** The ledger was asked for a part of the backend's rate. */
  drew(backend: string, use: BudgetUse, outcome: DrawOutcome): void;
  /** The upstream asked for fewer calls, and all processes were told. */
  paused(backend: string): void;
}

export const UNWATCHED_LIMITS: LimitWatch = {
  breaker: () => undefined,
  heldBack: () => undefined,
  drew: () => undefined,
  paused: () => undefined,
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The type with a further member `limits` of its configuration, which bounds what an opened
 * backend asks of its upstream. Without it, nothing is changed.
 */
export function withLimits(type: CredentialBackend, watch: LimitWatch): CredentialBackend {
  const split = (
    config: unknown,
  ): { readonly own: unknown; readonly limits: LimitSettings | null } => {
    if (!isObject(config) || !("limits" in config)) return { own: config, limits: null };
    const { limits, ...own } = config;
    return { own, limits: parseLimits(limits, type.capabilities) };
  };
  const joined = (own: JsonObject, limits: LimitSettings | null): JsonObject =>
    limits === null ? own : { ...own, limits: jsonOf(limits) };
  return {
    ...type,
    configSchema: schemaWithLimits(type),
    parseConfig: (input) => {
      const { own, limits } = split(input);
      return joined(type.parseConfig(own), limits);
    },
    describeConfig: (config) => {
      const { own, limits } = split(config);
      return joined(type.describeConfig(objectOf(own)), limits);
    },
    open: (config, host) => {
      const { own, limits } = split(config);
      const open = type.open(objectOf(own), host);
      return limits === null ? open : limited(open, limits, host, watch);
    },
  };
}

/** What was parsed is an object. */
function objectOf(config: unknown): JsonObject {
  if (isObject(config)) return config as JsonObject;
  throw new InvalidInput("config: expected an object", { where: "config" });
}

const jsonOf = ({ breaker, ...limits }: LimitSettings): JsonObject => ({
  ...Object.fromEntries(
    Object.entries(limits).filter(
      ([, value]: readonly [string, Json | undefined]) => value !== undefined,
    ),
  ),
  ...(breaker === undefined ? {} : { breaker: { ...breaker } }),
});

function schemaWithLimits({ type, configSchema }: CredentialBackend): JsonSchema {
  const { properties } = configSchema;
  if (!isObject(properties)) throw new TypeError(`type ${type}: its configuration has no members`);
  if ("limits" in properties) throw new TypeError(`type ${type}: limits is the kit's own member`);
  return { ...configSchema, properties: { ...properties, limits: LIMITS_SCHEMA } };
}

const LANES: Readonly<Record<BackendOperation, Lane>> = {
  issue: "issue",
  extend: "issue",
  recover: "end",
  revoke: "end",
  probe: "probe",
  list: "end",
  upkeep: "end",
  adoptSecret: "end",
  obtainSecret: "end",
  selfCheck: "end",
};

function limited(
  open: OpenBackend,
  limits: LimitSettings,
  host: PoolingHost,
  watch: LimitWatch,
): OpenBackend {
  const { clock, backendId } = host;
  const tokens = tokensOf(limits, host, watch);
  const lanes = new CallLanes(limits, tokens);
  const breaker =
    limits.breaker === undefined
      ? null
      : new Breaker(clock, limits.breaker, (state) => watch.breaker(backendId, state));
  watch.breaker(backendId, "closed");
  const wrapped = aroundCalls(open, async (operation, context, call) => {
    const lane = LANES[operation];
    const asked = lane === "issue" ? breaker : null;
    const refuseHeldBack = (): void => {
      const seconds = asked?.heldBackSeconds() ?? null;
      if (seconds === null) return;
      watch.heldBack(backendId, "breaker");
      throw notSent(
        `${operation}: the backend failed too often in a row; nothing was sent`,
        Math.ceil(seconds),
      );
    };
    // Before it waits, so that it takes nobody's turn; and after, as the one trial is who calls.
    refuseHeldBack();
    const done = await enter(lanes, lane, operation, context, host, watch);
    try {
      refuseHeldBack();
      return await counted(asked, () => bounded(limits, operation, context, call));
    } catch (error) {
      const pauseSeconds = pauseAskedBy(error);
      if (pauseSeconds !== null) await tokens?.pause(pauseSeconds);
      throw error;
    } finally {
      done();
    }
  });
  return {
    ...wrapped,
    selfCheck: async (roles, context) => {
      const check = await wrapped.selfCheck(roles, context);
      return { ...check, problems: [...limitProblems(limits), ...check.problems] };
    },
    close: async () => {
      lanes.close();
      await open.close();
    },
  };
}

function tokensOf(
  limits: LimitSettings,
  host: PoolingHost,
  watch: LimitWatch,
): SharedTokens | null {
  const rate = rateOf(limits);
  if (rate === null) return null;
  const { backendId } = host;
  return new SharedTokens(host, rate, {
    drew: (use, outcome) => watch.drew(backendId, use, outcome),
    paused: () => watch.paused(backendId),
  });
}

const pauseAskedBy = (error: unknown): number | null =>
  BackendError.isBackendError(error) && error.throttled && error.retry.kind === "after"
    ? error.retry.seconds
    : null;

async function counted<T>(breaker: Breaker | null, call: () => Promise<T>): Promise<T> {
  const leave = breaker?.enter() ?? (() => undefined);
  let result: CallResult = "unknown";
  try {
    const answer = await call();
    result = "answered";
    return answer;
  } catch (error) {
    result = resultOf(error);
    throw error;
  } finally {
    leave(result);
  }
}

/** A refusal is an answer. What was too late, or is our own fault, says nothing of the upstream. */
function resultOf(error: unknown): CallResult {
  if (!BackendError.isBackendError(error)) return "unknown";
  if (error.upstreamFails) return "failed";
  return error.retry.kind === "never" ? "answered" : "unknown";
}

const issueByOf = (context: CallContext | IssueContext): number | null =>
  "issueBy" in context ? context.issueBy : null;

async function enter(
  lanes: CallLanes,
  lane: Lane,
  operation: BackendOperation,
  context: CallContext,
  { clock, backendId }: BackendHost,
  watch: LimitWatch,
): Promise<() => void> {
  const issueBy = issueByOf(context);
  const late = new AbortController();
  const settled = new AbortController();
  using signal = linkSignals(context.signal, late.signal);
  if (issueBy !== null) {
    clock.sleep(Math.max(0, issueBy - clock.now()), settled.signal).then(
      () => late.abort(new Error("past issueBy")),
      () => undefined,
    );
  }
  try {
    return await lanes.enter(lane, signal.signal);
  } catch (error) {
    if (!(error instanceof HeldBack)) throw error;
    watch.heldBack(backendId, error.reason);
    throw notSent(`${operation}: ${WHY[error.reason]}; nothing was sent`, error.seconds);
  } finally {
    settled.abort(new Error("it may begin"));
  }
}

const WHY: Readonly<Record<HeldBack["reason"], string>> = {
  queue_full: "too many calls wait for the backend's limits",
  deadline: "its time was over while it waited for the backend's limits",
  closed: "the backend is closed",
  paused: "the backend asked for fewer calls",
  ledger: "the ledger, which keeps the backend's rate, could not be asked",
};

/**
 * Whether or not the type heeds the signal, nobody waits longer for a mint or a renewal. An end, a
 * listing or a self-check is many steps, and broken off each time it would never be done: whoever
 * asks for these sets their time.
 */
async function bounded<C extends CallContext, T>(
  { call_seconds_max: seconds }: LimitSettings,
  operation: BackendOperation,
  context: C,
  call: (context: C) => Promise<T>,
): Promise<T> {
  if (seconds === undefined || LANES[operation] !== "issue") return call(context);
  const over = new AbortController();
  const settled = new AbortController();
  using signal = linkSignals(context.signal, over.signal);
  const timeout = context.clock.sleep(seconds * 1000, settled.signal).then(() => {
    const error = new BackendError(`${operation}: no answer within ${seconds} s`, {
      effect: "unknown",
      retry: { kind: "after", seconds: durationSeconds(1) },
      upstreamFails: true,
    });
    over.abort(error);
    throw error;
  });
  try {
    return await Promise.race([call({ ...context, signal: signal.signal }), timeout]);
  } finally {
    settled.abort(new Error("it has ended"));
    timeout.catch(() => undefined);
  }
}
