import fc from "fast-check";
import {
  backendOfRole,
  instantMs,
  KEY_BINDINGS,
  parseId,
  parseRoleName,
  parseTrustRootName,
  type AccessRequest,
  type JsonObject,
  type Workload,
} from "@mayfly/spec";

/** What a test says of a request; everything else has the defaults of {@link accessRequest}. */
export interface AccessRequestFacts {
  readonly action?: AccessRequest["action"];
  /** A SPIFFE ID. */
  readonly workload?: string;
  readonly attributes?: Workload["attributes"];
  readonly role?: string;
  readonly task?: Partial<AccessRequest["task"]>;
  readonly roleFacts?: Partial<
    Pick<AccessRequest["role"], "backendType" | "dataClass" | "reversibility" | "environment">
  >;
  readonly grant?: JsonObject;
  readonly ttlSeconds?: number;
  readonly actorChain?: readonly string[];
}

const LEASE = parseId("lease", "lease_00000000000070008000000000000000", "lease");

/** A well-formed request: the invoice bot asks for orders-db/reader for 15 minutes. */
export function accessRequest(facts: AccessRequestFacts = {}): AccessRequest {
  const subject = facts.workload ?? "spiffe://acme.test/agent/invoice-bot";
  const domain = subject.split("/")[2] ?? "acme.test";
  const name = parseRoleName(facts.role ?? "orders-db/reader", "role");
  const backendId = backendOfRole(name);
  return {
    action: facts.action ?? "issue",
    workload: {
      trustRoot: parseTrustRootName(domain, "workload"),
      kind: "spiffe",
      issuer: `spiffe://${domain}`,
      subject,
      attributes: facts.attributes ?? {},
    },
    actorChain: facts.actorChain ?? [],
    task: {
      deadlineSeconds: 900,
      idleTimeoutSeconds: 60,
      depth: 0,
      targets: [],
      verifiedInitiator: null,
      initiatorTrustRoot: null,
      keyBinding: "none",
      impersonates: false,
      ...facts.task,
    },
    role: {
      name,
      backendId,
      backendType: "postgres",
      dataClass: "confidential",
      reversibility: "read_only",
      environment: "prod",
      ...facts.roleFacts,
    },
    plan: {
      leaseId: LEASE,
      externalName: "mf_testtest_0",
      expiresAt: instantMs(1_700_000_900_000),
      grant: facts.grant ?? { member_of: "app_reader" },
    },
    ttlSeconds: facts.ttlSeconds ?? 900,
  };
}

export const ARBITRARY_WORKLOADS = [
  "spiffe://acme.test/agent/invoice-bot",
  "spiffe://acme.test/agent/report-bot",
  "spiffe://other.test/ci",
] as const;
export const ARBITRARY_ROLES = ["orders-db/reader", "orders-db/writer", "aws-prod/deploy"] as const;
export const ARBITRARY_TAGS = ["team", "region", "repository"] as const;
export const ARBITRARY_VALUES = ["payments", "platform", "eu"] as const;

const arbitraryAttributes: fc.Arbitrary<Workload["attributes"]> = fc.dictionary(
  fc.constantFrom(...ARBITRARY_TAGS),
  fc.record({
    value: fc.constantFrom(...ARBITRARY_VALUES),
    stability: fc.constantFrom("immutable" as const, "mutable" as const),
  }),
  { minKeys: 1 },
);

/** Well-formed requests from a small world, so that random policies often meet them. */
export const arbitraryAccessRequest: fc.Arbitrary<AccessRequest> = fc
  .record({
    action: fc.constantFrom("issue" as const, "renew" as const),
    workload: fc.constantFrom(...ARBITRARY_WORKLOADS),
    attributes: arbitraryAttributes,
    role: fc.constantFrom(...ARBITRARY_ROLES),
    task: fc.record({
      deadlineSeconds: fc.constantFrom(60, 900, 3600),
      idleTimeoutSeconds: fc.constantFrom(30, 60),
      depth: fc.nat({ max: 3 }),
      targets: fc.uniqueArray(fc.constantFrom("orders-db:orders", "orders-db:invoices")),
      verifiedInitiator: fc.option(fc.constantFrom("alice@acme.test", "bob@acme.test")),
      initiatorTrustRoot: fc.option(fc.constant(parseTrustRootName("login", "root"))),
      keyBinding: fc.constantFrom(...KEY_BINDINGS),
      impersonates: fc.boolean(),
    }),
    roleFacts: fc.record({
      dataClass: fc.constantFrom("public" as const, "confidential" as const, "restricted" as const),
      reversibility: fc.constantFrom("read_only" as const, "irreversible" as const),
      environment: fc.constantFrom("prod", "test"),
    }),
    grant: fc.constantFrom<JsonObject>(
      { member_of: "app_reader" },
      { member_of: "app_writer", read_only: false },
    ),
    ttlSeconds: fc.constantFrom(60, 900, 3600),
    actorChain: fc.uniqueArray(fc.constantFrom(...ARBITRARY_WORKLOADS)),
  })
  .map(accessRequest);
