import {
  BackendError,
  Secret,
  instantMs,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type Json,
} from "@mayfly/spec";
import { z } from "zod";
import { ISSUE_CALL_SECONDS_MAX } from "./issue-call-bound.ts";
import { ask, createPath, markOf, rolePath, type Lane } from "./lane.ts";
import { writeHandle, writeSuffix, type LeaseHandle, type Mark } from "./lease-mark.ts";
import { leases, type EngineGrant, type TokenGrant, type VaultGrant } from "./role-settings.ts";
import { failures } from "./vault-failure.ts";

/** A wrapped answer is unwrapped at once; one that is not, for a crash, is soon nobody's. */
const WRAP_SECONDS = 60;

/** A context whose calls are given up at the deadline of the mint. */
function untilIssueBy(context: IssueContext): {
  readonly context: IssueContext;
  readonly stop: () => void;
} {
  const over = new AbortController();
  const timer = new AbortController();
  context.clock.sleep(Math.max(0, context.issueBy - context.clock.now()), timer.signal).then(
    () => over.abort(new Error("past its deadline")),
    () => undefined,
  );
  return {
    context: { ...context, signal: AbortSignal.any([context.signal, over.signal]) },
    stop: () => timer.abort(new Error("done")),
  };
}

/** What every step of a mint needs. */
interface Mint {
  readonly lane: Lane;
  readonly plan: IssuePlan;
  readonly context: IssueContext;
  readonly beforeSend: () => void;
}

/**
 * Makes a token role of the lease's name, then a token by it; of an engine's credential, has that
 * token ask the engine. Of a mint there is one request under way at most, and a late one gives
 * nobody anything: a role alone is no token, and a token needs its role.
 */
export async function issue(lane: Lane, plan: IssuePlan, given: IssueContext): Promise<Issued> {
  const grant = leases.grantOf(plan);
  if (millisecondsLeft(plan, given) <= 0) throw tooLate();
  const { context, stop } = untilIssueBy(given);
  const mint: Mint = {
    lane,
    plan,
    context,
    beforeSend: () => failures.refuseLate(context, "issue"),
  };
  try {
    return await lane.turns.run(context.signal, async () => {
      await takeName(mint, grant);
      return grant.kind === "token" ? mintToken(mint, grant) : askEngine(mint, grant);
    });
  } finally {
    stop();
  }
}

const millisecondsLeft = ({ expiresAt }: IssuePlan, { clock }: IssueContext): number =>
  expiresAt - clock.now();

const tooLate = (): BackendError =>
  new BackendError("Vault, issue: the lease is over already; nothing was sent", {
    effect: "none",
    retry: { kind: "never" },
  });

async function takeName({ lane, plan, context, beforeSend }: Mint, grant: VaultGrant) {
  const name = plan.externalName;
  try {
    const found = await markOf(lane, lane.mints, name, context, beforeSend);
    if (found !== null) throw failures.nameTaken("a token role");
  } catch (thrown) {
    // Nothing was made yet, whatever became of the looking.
    throw failures.toBackendError(thrown, "issue", "none");
  }
  const policies = grant.kind === "token" ? grant.ceiling : grant.policies;
  await ask(lane, lane.mints, "POST", rolePath(name, lane.host), context, {
    body: {
      // As one text, which a policy of the server can allow by its value.
      allowed_policies: policies.join(","),
      orphan: grant.kind !== "token" || grant.orphan,
      renewable: false,
      path_suffix: writeSuffix(markFor(plan, grant)),
      token_explicit_max_ttl: Math.ceil(millisecondsLeft(plan, context) / 1_000),
      token_no_default_policy: true,
      token_type: "service",
    },
    beforeSend,
  });
}

function markFor(plan: IssuePlan, grant: VaultGrant): Mark {
  switch (grant.kind) {
    case "token":
      return { kind: "token" };
    case "dynamic":
      return { kind: "dynamic", path: grant.path };
    case "unleased":
      // It is asked for no longer life than is left, but the engine may come to it late.
      return {
        kind: "unleased",
        path: grant.path,
        until: plan.expiresAt + ISSUE_CALL_SECONDS_MAX * 1_000,
      };
  }
}

/** Once the role is there, whatever fails leaves something to look for. */
async function afterwards<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw failures.withEffect(thrown, "issue", "unknown");
  }
}

const tokenBody = ({ plan, context }: Mint, grant: VaultGrant): object => {
  const milliseconds = `${Math.max(1, millisecondsLeft(plan, context))}ms`;
  return {
    policies: grant.policies,
    no_default_policy: true,
    ttl: milliseconds,
    explicit_max_ttl: milliseconds,
    renewable: false,
    display_name: plan.externalName,
    meta: { mayfly_lease: plan.leaseId, mayfly_task: context.taskId },
    ...(grant.kind === "token" && grant.num_uses !== undefined ? { num_uses: grant.num_uses } : {}),
  };
};

const wrapInfo = z.object({
  wrap_info: z.object({
    token: z.string().min(1),
    wrapped_accessor: z.string().optional(),
  }),
});
const auth = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    accessor: z.string().min(1),
    token_policies: z.array(z.string()),
    // A token that is no orphan inherits its parent's identity, and with that all policies that
    // hang on the broker's entity or on a group of it: they are in no list of the token's.
    entity_id: z.string().default(""),
    lease_duration: z.number().min(0),
  }),
});

/** The answer comes wrapped, and what it wraps is read only once its accessor is durable. */
async function mintToken(mint: Mint, grant: TokenGrant): Promise<Issued> {
  const { lane, plan, context, beforeSend } = mint;
  const name = plan.externalName;
  return afterwards(async () => {
    const answer = await ask(lane, lane.mints, "POST", createPath(name, lane.host), context, {
      body: tokenBody(mint, grant),
      wrapSeconds: WRAP_SECONDS,
      beforeSend,
    });
    const { token: wrapping, wrapped_accessor: accessor } = wrapInfo.parse(answer.body).wrap_info;
    if (accessor === undefined) throw surprising("it wraps no token");
    await context.checkpoint(writeHandle({ name, accessor }));
    const made = auth.parse(await unwrap(mint, wrapping)).auth;
    const isAsked = made.token_policies.every((policy) => grant.policies.includes(policy));
    if (made.accessor !== accessor || !isAsked) throw surprising("it is not what was asked for");
    if (made.entity_id !== "") {
      throw surprising("the token has the identity of the broker's login; say `orphan: true`");
    }
    return {
      material: { token: Secret.of(made.client_token), ...addressOf(lane) },
      fingerprintOf: "token",
      expiresAt: tokenEnd(mint, made.lease_duration),
      handle: writeHandle({ name, accessor }),
    };
  });
}

/** The server may give less than is asked for; it says so in whole seconds, rounded down. */
function tokenEnd({ plan, context }: Mint, seconds: number): InstantMs {
  const isLess = (seconds + 1) * 1_000 < millisecondsLeft(plan, context);
  return isLess ? instantMs(context.clock.now() + seconds * 1_000) : plan.expiresAt;
}

function addressOf({ settings }: Lane): Record<string, Json> {
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  const scheme = settings.tls === "unsafe_disable" ? "http" : "https";
  return {
    address: `${scheme}://${host}:${settings.port}`,
    namespace: settings.namespace ?? null,
  };
}

async function unwrap({ lane, context, beforeSend }: Mint, wrapping: string): Promise<unknown> {
  const { status, body } = await lane.mints.call(
    "POST",
    "sys/wrapping/unwrap",
    Secret.of(wrapping),
    context,
    { also: [400], beforeSend },
  );
  if (status !== 400) return body;
  lane.host.log.error("a wrapped answer of Vault was unwrapped by somebody else, or too late");
  throw surprising("what it wraps was read already, or too late");
}

const surprising = (why: string): BackendError =>
  new BackendError(`Vault, issue: the answer is not used, since ${why}`, {
    effect: "unknown",
    retry: { kind: "never" },
  });

const engineAnswer = z.object({
  lease_id: z.string(),
  lease_duration: z.number().min(0),
  data: z.record(z.string(), z.unknown()),
});
type EngineAnswer = z.infer<typeof engineAnswer>;

/** A token of the lease's own asks the engine, so that the engine's lease ends with the token. */
async function askEngine(mint: Mint, grant: EngineGrant): Promise<Issued> {
  const { lane, plan, context, beforeSend } = mint;
  const name = plan.externalName;
  return afterwards(async () => {
    const made = await ask(lane, lane.mints, "POST", createPath(name, lane.host), context, {
      body: tokenBody(mint, grant),
      beforeSend,
    });
    const { client_token: token, accessor, lease_duration } = auth.parse(made.body).auth;
    const tokenEndsAt = tokenEnd(mint, lease_duration);
    const known: LeaseHandle = { name, accessor };
    await context.checkpoint(writeHandle(known));
    const answer = await lane.mints.call(
      grant.method === "read" ? "GET" : "POST",
      grant.path,
      Secret.of(token),
      context,
      {
        ...(grant.method === "read" ? {} : { body: engineBody(mint, grant) }),
        wrapSeconds: WRAP_SECONDS,
        beforeSend,
      },
    );
    const wrapping = wrapInfo.parse(answer.body).wrap_info.token;
    await context.checkpoint(writeHandle({ ...known, wrapping }));
    const given = engineAnswer.parse(await unwrap(mint, wrapping));
    return grant.kind === "dynamic"
      ? leased(mint, grant, given, known, tokenEndsAt)
      : await unleased(mint, grant, given, known);
  });
}

function engineBody({ plan, context }: Mint, grant: EngineGrant): object {
  if (grant.kind === "dynamic") return grant.parameters;
  // Rounded down: it must not outlive its lease.
  const seconds = Math.floor(millisecondsLeft(plan, context) / 1_000);
  if (seconds < 1) throw tooLate();
  return { ...grant.parameters, [grant.ttl_parameter]: `${seconds}s` };
}

function leased(
  { context }: Mint,
  grant: EngineGrant,
  given: EngineAnswer,
  known: LeaseHandle,
  tokenEndsAt: InstantMs,
): Issued {
  if (given.lease_id === "") {
    throw surprising("the engine gave no lease for it: make the role `unleased`");
  }
  const diesAt = context.clock.now() + given.lease_duration * 1_000;
  return {
    material: materialOf(grant, given),
    fingerprintOf: grant.secret,
    // The engine's lease ends with its token at the latest.
    expiresAt: instantMs(Math.floor(Math.min(tokenEndsAt, diesAt))),
    handle: writeHandle({ ...known, lease_id: given.lease_id }),
  };
}

const certificate = z.object({
  serial_number: z.string().min(1).max(200).optional(),
  /** In seconds, as the PKI engine gives it. */
  expiration: z.number().positive().optional(),
});

async function unleased(
  { plan, context }: Mint,
  grant: Extract<EngineGrant, { kind: "unleased" }>,
  given: EngineAnswer,
  known: LeaseHandle,
): Promise<Issued> {
  if (given.lease_id !== "") {
    throw surprising("the engine gave a lease for it: make the role `dynamic`");
  }
  const { serial_number: serial, expiration } = certificate.parse(given.data);
  const stated = expiration === undefined ? plan.expiresAt : expiration * 1_000;
  const handle = writeHandle({
    ...known,
    unleased: {
      not_later_than: stated,
      ...(grant.revoke_path === undefined || serial === undefined
        ? {}
        : { serial, revoke_path: grant.revoke_path }),
    },
  });
  // Nothing else knows its serial number.
  await context.checkpoint(handle);
  if (grant.revoke_path !== undefined && serial === undefined) {
    throw surprising("it has no serial_number to be revoked by");
  }
  if (stated > plan.expiresAt) throw surprising("it would outlive its lease");
  return {
    material: materialOf(grant, given),
    fingerprintOf: grant.secret,
    expiresAt: instantMs(Math.floor(stated)),
    handle,
  };
}

const secretValue = z.union([z.string().min(1), z.array(z.string())]);
const shownValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);

/** The members that the role names, and nothing else of the answer. */
function materialOf(grant: EngineGrant, { data }: EngineAnswer): Issued["material"] {
  const material: Record<string, Secret | Json> = {};
  for (const name of [grant.secret, ...grant.also]) {
    const value = secretValue.safeParse(data[name]);
    if (!value.success) throw surprising(`it has no text "${name}"`);
    material[name] = Secret.of([value.data].flat().join("\n"));
  }
  for (const name of grant.shown) {
    const value = shownValue.safeParse(data[name]);
    if (!value.success) throw surprising(`it has no "${name}"`);
    material[name] = value.data;
  }
  return material;
}
