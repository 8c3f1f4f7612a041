import fc from "fast-check";
import {
  ADMINISTRATIVE_ACTIONS,
  backendOfRole,
  parseBackendId,
  parseId,
  parseResourceServerName,
  parseRoleName,
  parseTrustRootName,
  type AdministeredResource,
  type AdministrationRequest,
  type AdministrativeAction,
  type Workload,
} from "@mayfly/spec";

const ISSUER = "https://login.acme.test";

/** What a test says of a request; everything else has the defaults of {@link administration}. */
export interface AdministrationFacts {
  readonly action?: AdministrativeAction;
  /** The token's subject. */
  readonly subject?: string;
  readonly attributes?: Workload["attributes"];
  readonly resource?: AdministeredResource;
}

export const ORDERS_BACKEND: AdministeredResource = {
  kind: "backend",
  id: parseBackendId("orders-db", "backend"),
  type: "postgres",
};

/** A well-formed request: alice registers the backend orders-db. */
export function administration(facts: AdministrationFacts = {}): AdministrationRequest {
  return {
    action: facts.action ?? "register",
    workload: {
      trustRoot: parseTrustRootName("login", "trust"),
      kind: "oidc",
      issuer: ISSUER,
      subject: facts.subject ?? "alice",
      attributes: facts.attributes ?? {},
    },
    resource: facts.resource ?? ORDERS_BACKEND,
  };
}

export const administratorName = (subject: string): string => `${ISSUER}#${subject}`;

const roleResource = (name: string, environment: string): AdministeredResource => {
  const role = parseRoleName(name, "role");
  return {
    kind: "role",
    name: role,
    backendId: backendOfRole(role),
    backendType: "postgres",
    dataClass: "confidential",
    reversibility: "read_only",
    environment,
  };
};

const TASK = parseId("task", "task_00000000000070008000000000000000", "task");
const LEASE = parseId("lease", "lease_00000000000070008000000000000000", "lease");

/** One or two of each kind. */
export const ADMINISTERED: readonly AdministeredResource[] = [
  { kind: "catalog" },
  { kind: "ledger" },
  { kind: "policies" },
  ORDERS_BACKEND,
  { kind: "backend", id: parseBackendId("aws-prod", "backend"), type: "aws-sts" },
  roleResource("orders-db/reader", "prod"),
  roleResource("orders-db/writer", "test"),
  ...[true, false].map((administrators): AdministeredResource => ({
    kind: "trust_root",
    name: parseTrustRootName(administrators ? "login" : "acme.test", "trust"),
    trustKind: administrators ? "oidc" : "spiffe",
    issuer: administrators ? ISSUER : "spiffe://acme.test",
    administrators,
    initiators: administrators,
  })),
  {
    kind: "resource_server",
    name: parseResourceServerName("reports-api", "server"),
    audiences: ["https://reports.acme.test"],
  },
  {
    kind: "task",
    id: TASK,
    workload: "spiffe://acme.test/agent/invoice-bot",
    state: "active",
    depth: 0,
    verifiedInitiator: administratorName("alice"),
  },
  {
    kind: "lease",
    id: LEASE,
    taskId: TASK,
    role: parseRoleName("orders-db/reader", "role"),
    workload: "spiffe://acme.test/agent/invoice-bot",
    backendId: parseBackendId("orders-db", "backend"),
    state: "active",
  },
  {
    kind: "lease",
    id: LEASE,
    taskId: null,
    role: null,
    workload: null,
    backendId: parseBackendId("orders-db", "backend"),
    state: "stuck",
  },
];

/** Which kinds of resource an action is about: any other pair is no request. */
const APPLIES: Readonly<Record<AdministrativeAction, readonly AdministeredResource["kind"][]>> = {
  read: [
    "catalog",
    "ledger",
    "policies",
    "backend",
    "role",
    "trust_root",
    "resource_server",
    "task",
    "lease",
  ],
  register: ["backend", "role", "trust_root", "resource_server"],
  test: ["backend", "role", "trust_root"],
  enable: ["backend", "role", "trust_root", "resource_server"],
  disable: ["backend", "role", "trust_root", "resource_server"],
  delete: ["backend", "role", "trust_root", "resource_server"],
  activate: ["policies"],
  end: ["task", "lease", "ledger"],
  kill: ["task", "ledger"],
  verify: ["ledger"],
};

/** Every action on everything that it is about. */
export const ADMINISTRATIVE_PAIRS: readonly Pick<AdministrationRequest, "action" | "resource">[] =
  ADMINISTRATIVE_ACTIONS.flatMap((action) =>
    ADMINISTERED.filter(({ kind }) => APPLIES[action].includes(kind)).map((resource) => ({
      action,
      resource,
    })),
  );

/** From a small world, so that random policies often meet them. */
export const arbitraryAdministration: fc.Arbitrary<AdministrationRequest> = fc
  .record({
    pair: fc.constantFrom(...ADMINISTRATIVE_PAIRS),
    subject: fc.constantFrom("alice", "bob"),
    attributes: fc.constantFrom<Workload["attributes"]>(
      {},
      { groups: { value: "platform", stability: "immutable" } },
      { groups: { value: "security", stability: "mutable" } },
    ),
  })
  .map(({ pair, subject, attributes }) => administration({ ...pair, subject, attributes }));
