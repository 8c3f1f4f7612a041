import {
  Secret,
  type CallContext,
  type CheckProblem,
  type JsonObject,
  type SelfCheck,
} from "@mayfly/spec";
import { z } from "zod";
import { ask, type Lane } from "./lane.ts";
import { asPolicy, checkName, neededRights } from "./needed-rights.ts";
import { needsOfRole, type RoleNeeds } from "./role-settings.ts";
import { VaultFailure } from "./vault-failure.ts";

const health = z.object({
  initialized: z.boolean(),
  sealed: z.boolean(),
  server_time_utc: z.number(),
  version: z.string(),
  cluster_name: z.string().optional(),
  cluster_id: z.string().optional(),
});

/** Standbys and sealed nodes say so by these; what they are is in the body. */
const STATES = [429, 472, 473, 501, 503];

/** Looks, and makes a token of each set of policies that lives for seconds and is revoked. */
export async function selfCheck(
  lane: Lane,
  given: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const roles = given.map(needsOfRole);
  const before = lane.host.clock.now();
  const { body } = await lane.work.call("GET", "sys/health", null, context, {
    also: STATES,
    atRoot: true,
  });
  const state = health.parse(body);
  const skew = skewMs(state.server_time_utc, before, lane.host.clock.now());
  const problems = state.sealed ? [SEALED] : await problemsOf(lane, roles, context);
  return {
    upstreamIdentity: `${state.cluster_id ?? "unnamed"}/${lane.settings.namespace ?? ""}`,
    clockSkewMs: skew,
    facts: { version: state.version, cluster_name: state.cluster_name ?? null },
    problems,
  };
}

const SEALED: CheckProblem = {
  code: "sealed",
  what: "The server is sealed: it answers nothing before it is unsealed.",
  fix: "Unseal it (bao operator unseal), or let it unseal itself.",
};

/** The server says whole seconds; null difference where ours fits into the one it said. */
function skewMs(serverSeconds: number, beforeMs: number, afterMs: number): number {
  const [begins, ends] = [serverSeconds * 1_000, serverSeconds * 1_000 + 999];
  if (begins > afterMs) return begins - afterMs;
  return ends < beforeMs ? ends - beforeMs : 0;
}

async function problemsOf(
  lane: Lane,
  roles: readonly RoleNeeds[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const missing = await missingRights(lane, roles, context);
  return missing.length > 0 ? missing : problemsOfTokens(lane, roles, context);
}

const refusedLogin = (status: number | null): CheckProblem => ({
  code: "login_refused",
  what: `The server refuses the broker's login, or its token (status ${status}).`,
  fix:
    "Correct `login`: the token, or the role that it logs in by, and its namespace; and give it " +
    "the policy default.",
});

const capabilities = z.object({ data: z.record(z.string(), z.unknown()) });

async function missingRights(
  lane: Lane,
  roles: readonly RoleNeeds[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const needed = neededRights(lane.host, roles);
  let had: Readonly<Record<string, unknown>>;
  try {
    const { body } = await ask(lane, lane.work, "POST", "sys/capabilities-self", context, {
      body: { paths: needed.map(({ example }) => example) },
    });
    had = capabilities.parse(body).data;
  } catch (thrown) {
    if (!(thrown instanceof VaultFailure) || thrown.kind !== "refused") throw thrown;
    return [refusedLogin(thrown.status)];
  }
  return needed.flatMap((right): readonly CheckProblem[] => {
    const given = z.array(z.string()).catch([]).parse(had[right.example]);
    const lacks = right.capabilities.filter((one) => !given.includes(one));
    if (given.includes("root") || lacks.length === 0) return [];
    return [
      {
        code: "right_missing",
        what: `The broker lacks ${lacks.join(", ")} on ${right.path}.`,
        fix: asPolicy([right]),
      },
    ];
  });
}

/** Which parameters a policy allows cannot be asked: it is tried. */
async function problemsOfTokens(
  lane: Lane,
  roles: readonly RoleNeeds[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const sets = new Map(roles.map((role) => [role.policies.join(","), role.policies]));
  const problems: CheckProblem[] = [];
  for (const policies of sets.values()) {
    problems.push(...(await tryToken(lane, policies, roles, context)));
  }
  return problems;
}

const CHECK_SECONDS = 10;
const created = z.object({
  warnings: z.array(z.string()).nullable().default(null),
  auth: z.object({ client_token: z.string().transform((text) => Secret.of(text)) }),
});

async function tryToken(
  lane: Lane,
  policies: readonly string[],
  roles: readonly RoleNeeds[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  // Of its own: two that check at once would write over each other's.
  const name = `${checkName(lane.host)}-${Buffer.from(lane.host.random.bytes(8)).toString("hex")}`;
  const post = (path: string, body: object) =>
    ask(lane, lane.work, "POST", path, context, { body });
  try {
    await post(`auth/token/roles/${name}`, {
      allowed_policies: policies.join(","),
      orphan: true,
      renewable: false,
      path_suffix: "check",
      token_explicit_max_ttl: CHECK_SECONDS,
      token_no_default_policy: true,
      token_type: "service",
    });
  } catch (thrown) {
    if (!(thrown instanceof VaultFailure) || thrown.status !== 403) throw thrown;
    const [right] = neededRights(lane.host, roles);
    return [
      {
        code: "policies_not_allowed",
        what: `The broker may make no token role for the policies ${policies.join(", ")}.`,
        fix: right === undefined ? "" : asPolicy([right]),
      },
    ];
  }
  const made = await post(`auth/token/create/${name}`, {
    policies,
    no_default_policy: true,
    ttl: `${CHECK_SECONDS}s`,
    explicit_max_ttl: `${CHECK_SECONDS}s`,
  });
  const { auth, warnings } = created.parse(made.body);
  const orphans = await makesOrphans(lane, auth.client_token, policies, context);
  await post(`sys/leases/revoke-prefix/auth/token/create/${name}`, { sync: true });
  await ask(lane, lane.work, "DELETE", `auth/token/roles/${name}`, context);
  return [...missingPolicies(policies, warnings ?? []), ...orphans];
}

/**
 * Tries, as a token of these policies, to make one that no end would reach. It is given to nobody,
 * and lives for a second.
 */
async function makesOrphans(
  lane: Lane,
  token: Secret,
  policies: readonly string[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const path = "auth/token/create-orphan";
  const body = { policies, no_default_policy: true, ttl: "1s", explicit_max_ttl: "1s" };
  const { status } = await lane.work.call("POST", path, token, context, {
    body,
    also: [400, 403],
  });
  if (status >= 300) return [];
  return [
    {
      code: "policies_make_orphans",
      what:
        `A token with the policies ${policies.join(", ")} may make tokens without a parent ` +
        `(${path}), which live on when its lease has ended.`,
      fix: `Take ${path} out of these policies: auth/token/create makes tokens that end with it.`,
    },
  ];
}

/** The server makes a token with a policy that is not there, and says so. */
const missingPolicies = (
  policies: readonly string[],
  warnings: readonly string[],
): readonly CheckProblem[] =>
  policies
    .filter((policy) => warnings.some((text) => text.includes(`"${policy}" does not exist`)))
    .map((policy) => ({
      code: "policy_missing",
      what: `There is no policy "${policy}": a token with it may do nothing by it.`,
      fix: `bao policy write ${policy} FILE, or correct the role.`,
    }));
