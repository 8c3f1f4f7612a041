import {
  BackendError,
  Secret,
  durationSeconds,
  parseId,
  plusSeconds,
  type BackendCapabilities,
  type BackendHost,
  type BackendOperations,
  type CallContext,
  type CredentialBackend,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type MarkedPage,
  type OpenBackend,
  type Probe,
  type RecoverContext,
  type Recovered,
  type Revoked,
  type RevocationOperations,
  type SelfCheck,
} from "@mayfly/spec";
import {
  FAKE_CONFIG_SCHEMA,
  FAKE_PARAMS_SCHEMA,
  FAKE_ROLE_SCHEMA,
  isWithinFake,
  parseFakeConfig,
  parseFakeHandle,
  parseFakeParams,
  parseFakeRole,
  planFake,
} from "./fake-shapes.ts";
import {
  type FakeUpstream,
  NameTaken,
  PastDeadline,
  type CreateRequest,
  type FakeCredential,
} from "./fake-upstream.ts";
import { noEffect, underFault, type UpstreamCall } from "./under-fault.ts";

export interface FakeBackendOptions {
  readonly upstream: FakeUpstream;
  /** Default `fake`. */
  readonly type?: string;
  /** Whatever is left out: immediate revocation, expiry enforced upstream, renewal and listing. */
  readonly capabilities?: Partial<BackendCapabilities>;
  /** How it makes a credential, when not by one call at once: its failures are its own. */
  readonly mint?: (request: CreateRequest, context: IssueContext) => Promise<FakeCredential>;
  /** Whether a checkpoint follows the creation, as before a second step. Default false. */
  readonly hasTwoSteps?: boolean;
}

const DEFAULTS: BackendCapabilities = {
  expiryEnforcedBy: "upstream",
  revocation: "immediate",
  canRenew: true,
  canList: true,
  ttlSecondsMin: durationSeconds(1),
  ttlSecondsMax: durationSeconds(86_400),
  issueCallSecondsMax: durationSeconds(5),
  lateMint: "refused",
  credentialKind: "fake-password",
};

/** A backend type over an upstream in memory; obeys the contract suite like the real ones. */
export function createFakeBackend(options: FakeBackendOptions): CredentialBackend {
  const capabilities = { ...DEFAULTS, ...options.capabilities };
  return {
    specVersion: 1,
    type: options.type ?? "fake",
    capabilities,
    configSchema: FAKE_CONFIG_SCHEMA,
    roleSchema: FAKE_ROLE_SCHEMA,
    paramsSchema: FAKE_PARAMS_SCHEMA,
    parseConfig: parseFakeConfig,
    parseRole: parseFakeRole,
    parseParams: parseFakeParams,
    describeConfig: (config) => ({ ...parseFakeConfig(config), password: "[secret]" }),
    plan: planFake,
    isWithin: isWithinFake,
    open: (_config, host) => open(options, capabilities, host),
  };
}

interface Call extends UpstreamCall {
  readonly capabilities: BackendCapabilities;
  readonly host: BackendHost;
  readonly mint: FakeBackendOptions["mint"];
  readonly hasTwoSteps: boolean;
}

function open(
  { upstream, mint, hasTwoSteps = false }: FakeBackendOptions,
  capabilities: BackendCapabilities,
  host: BackendHost,
): OpenBackend {
  let closed = false;
  const call: Call = {
    upstream,
    capabilities,
    host,
    mint,
    hasTwoSteps,
    requireOpen: () => {
      if (closed) throw noEffect("the fake backend is closed");
    },
  };
  const operations: BackendOperations = {
    issue: (plan, context) => issue(call, plan, context),
    recover: (plan, _checkpoint, context) => recover(call, plan, context),
    renewal: capabilities.canRenew
      ? {
          kind: "extend",
          extend: (_plan, handle, expiresAt, context) => extend(call, handle, expiresAt, context),
        }
      : { kind: "none" },
    listing: capabilities.canList
      ? { kind: "marked", list: (after, context) => list(call, after, context) }
      : { kind: "none" },
    selfCheck: (_roles, context) => selfCheck(call, context),
    close: async () => {
      closed = true;
    },
  };
  const revocation: RevocationOperations = {
    revoke: (handle, context) => revoke(call, handle, context),
    probe: (handle, context) => probe(call, handle, context),
  };
  switch (capabilities.revocation) {
    case "none":
      return { ...operations, revocation: "none" };
    case "immediate":
      return { ...operations, ...revocation, revocation: "immediate" };
    case "propagating":
      return { ...operations, ...revocation, revocation: "propagating" };
  }
}

const handleOf = (credential: Pick<FakeCredential, "name" | "id">): Secret =>
  Secret.of(JSON.stringify({ name: credential.name, id: credential.id }));

const tagged = (name: string): string => `fake/${name}`;

async function issue(call: Call, plan: IssuePlan, context: IssueContext): Promise<Issued> {
  const { host } = call;
  if (context.clock.now() > context.issueBy) throw noEffect("issue: past issueBy, nothing sent");
  // An upsert refuses nothing, so it has to be looked for first: a late one is not seen so.
  if (call.capabilities.lateMint === "looked_for" && call.upstream.find(plan.externalName)) {
    throw nameTaken();
  }
  const grant = parseFakeRole(plan.grant);
  const password = Buffer.from(host.random.bytes(24)).toString("base64url");
  const request = {
    name: plan.externalName,
    password,
    groups: grant.groups,
    tag: host.tag(tagged(plan.externalName)),
    expiresAt: plan.expiresAt,
    issueBy: context.issueBy,
  };
  const made =
    call.mint === undefined
      ? await mintAtOnce(call, request, context)
      : await call.mint(request, context);
  if (call.hasTwoSteps) await context.checkpoint(handleOf(made));
  return {
    material: { username: made.name, password: Secret.of(made.password) },
    fingerprintOf: "password",
    expiresAt: made.expiresAt,
    handle: handleOf(made),
  };
}

const mintAtOnce = (
  call: Call,
  request: CreateRequest,
  context: IssueContext,
): Promise<FakeCredential> =>
  underFault(call, "issue", request.name, context, {
    effect: () => {
      try {
        return call.upstream.create(request);
      } catch (refusal) {
        if (refusal instanceof NameTaken) throw nameTaken(refusal);
        if (refusal instanceof PastDeadline) throw noEffect("issue: arrived past issueBy");
        throw refusal;
      }
    },
    pretended: () => ({ ...request, id: 0, refusedFrom: null, sessions: 0 }),
  });

const nameTaken = (cause?: unknown): BackendError =>
  new BackendError("issue: the name is taken", {
    effect: "unknown",
    retry: { kind: "never" },
    cause,
  });

async function recover(call: Call, plan: IssuePlan, context: RecoverContext): Promise<Recovered> {
  const { upstream, host, capabilities } = call;
  const name = plan.externalName;
  call.requireOpen();
  const there = capabilities.revocation === "none" ? null : upstream.find(name);
  if (there !== null) await context.found({ credentials: 1 });
  return underFault<Recovered>(call, "recover", name, context, {
    effect: () => {
      if (capabilities.revocation === "none") {
        return { outcome: "expires", notLaterThan: plan.expiresAt };
      }
      const isGuarded = capabilities.lateMint === "refused";
      const takenAt = isGuarded ? upstream.takeName(name) : null;
      const found = upstream.find(name);
      if (found !== null) {
        if (found.id !== there?.id) return waiting(0, "it has just appeared");
        const refusedFrom = upstream.destroy(name, found.id);
        upstream.recovered.add(name);
        upstream.freeName(name);
        if (refusedFrom !== null && refusedFrom > upstream.clock.now()) {
          return waiting(refusedFrom - upstream.clock.now(), "the refusal is still propagating");
        }
        return { outcome: "destroyed", looked: { credentials: 1 } };
      }
      const leftMs =
        takenAt === null
          ? (host.quarantineSeconds - context.settledForSeconds) * 1000
          : plusSeconds(takenAt, host.quarantineSeconds) - upstream.clock.now();
      if (leftMs > 0) return waiting(leftMs, "the name is kept in quarantine");
      upstream.freeName(name);
      return { outcome: "absent", looked: { credentials: 0 } };
    },
    pretended: () => ({ outcome: "absent", looked: { credentials: 0 } }),
  });
}

const waiting = (ms: number, reason: string): Recovered => ({
  outcome: "wait",
  seconds: durationSeconds(Math.max(1, Math.ceil(ms / 1000))),
  reason,
});

async function revoke(call: Call, handle: Secret, context: CallContext): Promise<Revoked> {
  const { upstream } = call;
  const { name, id } = parseFakeHandle(handle.expose("upstream"));
  return underFault<Revoked>(call, "revoke", name, context, {
    effect: () => {
      const refusedFrom = upstream.destroy(name, id);
      return refusedFrom !== null && refusedFrom > upstream.clock.now()
        ? { outcome: "propagating", until: refusedFrom }
        : { outcome: "refused" };
    },
    pretended: () => ({ outcome: "refused" }),
  });
}

async function probe(call: Call, handle: Secret, context: CallContext): Promise<Probe> {
  const { upstream } = call;
  const { name, id } = parseFakeHandle(handle.expose("upstream"));
  return underFault<Probe>(call, "probe", name, context, {
    effect: () => {
      const found = upstream.find(name);
      const there = found !== null && found.id === id;
      const alive = there && (upstream.accepts(found) || found.sessions > 0);
      return {
        verdict: alive ? "accepted" : "refused",
        looked: { credentials: there ? 1 : 0, sessions: there ? found.sessions : 0 },
      };
    },
    pretended: () => ({ verdict: "refused", looked: { credentials: 0, sessions: 0 } }),
  });
}

async function extend(
  call: Call,
  handle: Secret,
  expiresAt: IssuePlan["expiresAt"],
  context: IssueContext,
): Promise<IssuePlan["expiresAt"]> {
  const { upstream } = call;
  const { name, id } = parseFakeHandle(handle.expose("upstream"));
  if (context.clock.now() > context.issueBy) throw noEffect("extend: past issueBy, nothing sent");
  return underFault(call, "extend", name, context, {
    effect: () => {
      if (!upstream.extend(name, id, expiresAt)) {
        throw new BackendError("extend: the credential is gone", {
          effect: "none",
          retry: { kind: "never" },
        });
      }
      return expiresAt;
    },
    pretended: () => expiresAt,
  });
}

/** Small, so that tests of paging need few credentials. */
const PAGE = 3;

async function list(call: Call, after: string | null, context: CallContext): Promise<MarkedPage> {
  const { upstream } = call;
  return underFault(call, "list", after ?? "", context, {
    effect: () => {
      const rest = upstream.all().filter((made) => after === null || made.name > after);
      const page = rest.slice(0, PAGE);
      const last = page.at(-1);
      return {
        marked: page.map((made) => ({ externalName: made.name, mark: markOf(call, made) })),
        next: rest.length > PAGE && last !== undefined ? last.name : null,
      };
    },
    pretended: () => ({ marked: [], next: null }),
  });
}

function markOf({ host }: Call, made: FakeCredential): MarkedPage["marked"][number]["mark"] {
  const [, installation, hex] = /^mf_([a-z2-7]{8})_([0-9a-f]{32})$/.exec(made.name) ?? [];
  if (installation === undefined || hex === undefined) return { kind: "unverified" };
  if (installation !== host.installation) return { kind: "foreign", installation };
  if (!host.verifyTag(tagged(made.name), made.tag)) return { kind: "unverified" };
  return {
    kind: "ours",
    leaseId: parseId("lease", `lease_${hex}`, "externalName"),
    handle: handleOf(made),
  };
}

async function selfCheck(call: Call, context: CallContext): Promise<SelfCheck> {
  const { upstream } = call;
  const healthy = {
    upstreamIdentity: upstream.identity,
    clockSkewMs: 0,
    facts: { credentials: upstream.all().length },
    problems: [],
  };
  return underFault<SelfCheck>(call, "selfCheck", "", context, {
    effect: () => healthy,
    pretended: () => ({
      ...healthy,
      problems: [
        { code: "fake_right_missing", what: "The fake lacks a right.", fix: "Call heal()." },
      ],
    }),
  });
}
