import { randomBytes } from "node:crypto";
import type { Json, JsonObject } from "@mayfly/spec";
import {
  accepted,
  backendConfig,
  BACKEND,
  grantedOf,
  READER,
  rolesNow,
  textAt,
  TRUST_DOMAIN,
  WRITER,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { readApiDocument } from "./api-document.ts";
import {
  POLICY_EXAMPLES,
  RESOURCE_SERVER_EXAMPLES,
  ROLE_EXAMPLE,
  TRUST_EXAMPLES,
} from "./examples.ts";
import { forgeTokens } from "./forge-tokens.ts";
import type { ReadyRequest } from "./fuzz-request.ts";
import { createRawClient } from "./raw-client.ts";
import { baseline, differences, namesSince, type Registered } from "./registered.ts";
import type { Rights, Target } from "./target.ts";

const CONCURRENCY = 12;
const FRESH_MS = 120_000;
const TASK = { type: "mayfly-task", goal: "work", deadline: "23h", idle_timeout: "1h" };

/** All installations of a run share the login that it would replace; in process it is fuzzed. */
function withoutRotation(document: JsonObject): JsonObject {
  const paths = Object.entries(Object(document["paths"]) as JsonObject);
  const others = paths.filter(([path]) => path !== "/v1/backends/{backend}/rotate");
  return { ...document, paths: Object.fromEntries(others) };
}

/** A process of the broker, over sockets, its ledger in a real PostgreSQL. */
export async function createRealBroker(
  mayfly: Installation,
  broker: RunningBroker,
  rights: Rights,
): Promise<Target> {
  const control = `${BACKEND}:control-${randomBytes(12).toString("hex")}`;
  await mayfly.register(broker);
  accepted(await broker.api.admin("PUT", "/v1/policies", policies(control)), "the policies");
  const details = { ...TASK, targets: [control], credentials: [{ role: READER, ttl: "30m" }] };
  const other = grantedOf(await broker.api.exchange({ subject: mayfly.svid("owner"), details }));
  const document = await broker.api.admin("GET", "/openapi.json");
  const before = await baseline((path) => broker.api.admin("GET", path));
  const client = createRawClient(Number(new URL(broker.api.url).port));
  const answered: ReadyRequest[] = [];
  let fresh = await placesOf(mayfly, broker, other);
  let refreshing: Promise<void> | null = null;
  const refresh = async (): Promise<void> => {
    fresh = await placesOf(mayfly, broker, other);
    refreshing = null;
  };
  const isForStrangers = rights === "strangers";
  return {
    api: readApiDocument(withoutRotation(document.body as JsonObject)),
    get places() {
      return fresh.places;
    },
    tokens: ["svid.stranger", "svid.worker", "task-token.stranger"],
    forged: [
      "none",
      "admin.wrong",
      ...[...fresh.places.keys()].filter((name) => name.startsWith("forged.")),
    ],
    administrators: isForStrangers ? [] : ["admin"],
    known: KNOWN,
    examples: examplesOf(mayfly),
    secrets: [
      mayfly.adminToken,
      mayfly.orders.password,
      other.taskToken,
      other.credential.password,
      new URL(mayfly.ledgerDatabase.brokerUrl).password,
      ...(isForStrangers ? [control] : []),
    ],
    isRaw: true,
    concurrency: CONCURRENCY,
    send: async (request) => {
      if (performance.now() > fresh.untilMs) refreshing ??= refresh();
      await refreshing;
      return client.send(request);
    },
    acknowledged: (request) => answered.push(request),
    look: () => look({ mayfly, broker, rights, control, before, other, answered }),
    [Symbol.asyncDispose]: async () => client[Symbol.dispose](),
  };
}

const policies = (control: string): Json => ({
  sources: [
    {
      name: "fuzz.cedar",
      text: `
@id("who-knows-the-target")
permit (principal, action in Action::"credential", resource == Role::"${READER}")
when { context.task.targets.contains("${control}") };`,
    },
  ],
});

const KNOWN: Target["known"] = {
  lease: ["__lease.other__", "__lease.other__", "__task.other__"],
  task: ["__task.other__", "__task.stranger__"],
  backend: [BACKEND, BACKEND, "new-db"],
  role: [READER, WRITER, "new-db/x"],
  shape: ["reader", "writer", "fresh"],
  name: [TRUST_DOMAIN, "login", "fresh"],
};

const examplesOf = ({ orders }: Installation): Target["examples"] =>
  new Map<string, readonly Json[]>([
    [
      "PUT /v1/backends/{backend}",
      [
        { type: "postgres", config: backendConfig(orders) as JsonObject },
        { type: "postgres", config: { ...(backendConfig(orders) as JsonObject), port: 1 } },
      ],
    ],
    [
      "PUT /v1/roles/{backend}/{shape}",
      [{ ...ROLE_EXAMPLE, member_of: "app_reader", owner: "app_owner" }],
    ],
    ["PUT /v1/trust/{name}", TRUST_EXAMPLES],
    ["PUT /v1/resource-servers/{name}", RESOURCE_SERVER_EXAMPLES],
    ["PUT /v1/policies", POLICY_EXAMPLES],
  ]);

interface Fresh {
  readonly places: ReadonlyMap<string, string>;
  readonly untilMs: number;
}

async function placesOf(
  mayfly: Installation,
  { api }: RunningBroker,
  other: Granted,
): Promise<Fresh> {
  const now = Math.floor(Date.now() / 1000);
  const { key } = mayfly.trust;
  const claims = {
    sub: `spiffe://${TRUST_DOMAIN}/agent/owner`,
    aud: [mayfly.issuer],
    iat: now,
    exp: now + 300,
  };
  const forged = forgeTokens({ key, header: { alg: "ES256", kid: key.kid, typ: "JWT" }, claims });
  const svid = mayfly.svid("stranger");
  const stranger = await api.exchange({ subject: svid, details: TASK });
  const isOpen = stranger.status === 200;
  const [head = "", payload = "", signature = ""] = other.taskToken.split(".");
  const places = new Map([
    ["svid.stranger", svid],
    ["svid.worker", mayfly.svid("worker")],
    // Administrators may have taken away what its trust needs: then it is nobody's.
    ["task-token.stranger", isOpen ? textAt(stranger, "access_token") : "gone"],
    ["none", ""],
    ...[...forged].map(([name, token]) => [`forged.${name}`, token] as const),
    ["forged.task-token", `${head}.${payload}.${signature.slice(0, -4)}AAAA`],
    ["admin", mayfly.adminToken],
    ["admin.wrong", `${mayfly.adminToken.slice(0, -1)}_`],
    ["task.other", other.taskId],
    ["task.stranger", isOpen ? textAt(stranger, "task", "id") : "task_x"],
    ["lease.other", other.lease],
  ]);
  return { places, untilMs: performance.now() + FRESH_MS };
}

interface Looked {
  readonly mayfly: Installation;
  readonly broker: RunningBroker;
  readonly rights: Rights;
  readonly control: string;
  readonly before: Registered;
  readonly other: Granted;
  readonly answered: readonly ReadyRequest[];
}

async function look(of: Looked): Promise<readonly string[]> {
  const { mayfly, broker, other, before, rights } = of;
  const wrong: string[] = [];
  if (broker.hasEnded()) return [`the broker has ended:\n${broker.output()}`];
  const after = await baseline((path) => broker.api.admin("GET", path));
  const leases = await mayfly.ledger<{ id: string; state: string }[]>`
    SELECT 'lease_' || replace(id::text, '-', '') AS id, state FROM mayfly.leases
    WHERE id >= ${other.lease.replace("lease_", "")}::uuid`;
  const strays = leases.filter(({ id }) => id !== other.lease);
  if (rights === "strangers") {
    wrong.push(...differences(before, after));
    for (const { id } of strays) wrong.push(`there is a lease ${id}`);
    const mine = leases.find(({ id }) => id === other.lease);
    if (mine?.state !== "active") wrong.push(`the lease of another is ${String(mine?.state)}`);
    const roles = await rolesNow(mayfly.customer, mayfly.id);
    if (roles.length !== 1) wrong.push(`the customer's server has ${roles.length} roles, not one`);
  } else {
    const names = of.answered.map(({ method, path }) => `${method} ${path}`);
    wrong.push(...namesSince(before, after, names));
  }
  for (const line of broker.output().split("\n")) {
    if (line.includes('"level":"error"')) wrong.push(`the log has an error: ${line}`);
  }
  const health = await broker.api.admin("GET", "/readyz");
  if (health.status !== 200) wrong.push(`/readyz answers ${health.status}: ${health.text}`);
  return [...wrong, ...(await controlled(of))];
}

/** The same broker mints, for who knows the target; then all ends, and nothing is left. */
async function controlled({ mayfly, broker, control, other }: Looked): Promise<readonly string[]> {
  await mayfly.register(broker);
  accepted(await broker.api.admin("PUT", "/v1/policies", policies(control)), "the policies");
  for (const what of [`backends/${BACKEND}`, `roles/${READER}`, `trust/${TRUST_DOMAIN}`]) {
    accepted(await broker.api.admin("POST", `/v1/${what}/enable`, {}), what);
  }
  const details = { ...TASK, goal: "control", targets: [control], credentials: [{ role: READER }] };
  const answer = await broker.api.exchange({ subject: mayfly.svid("worker"), details });
  if (answer.status !== 200) return [`the sound exchange was answered ${answer.text}`];
  for (const taskId of [grantedOf(answer).taskId, other.taskId]) {
    accepted(
      await broker.api.admin("POST", `/v1/tasks/${taskId}/kill`, { wait: 60 }),
      "the end of the control",
    );
  }
  const [row] = await mayfly.ledger<{ alive: number }[]>`
    SELECT count(*)::int AS alive FROM mayfly.leases WHERE state <> 'ended'`;
  const roles = await rolesNow(mayfly.customer, mayfly.id);
  return [
    ...(row?.alive === 0 ? [] : [`${String(row?.alive)} leases are still alive`]),
    ...(roles.length === 0 ? [] : [`the customer's server still has ${roles.length} roles`]),
    ...(await mayfly.findLeaks(broker)),
  ];
}
