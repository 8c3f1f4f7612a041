import { z } from "zod";
import {
  ADMINISTRATIVE_ACTIONS,
  KEY_BINDINGS,
  InvalidInput,
  parsePolicyId,
  parseRoleName,
  parseTrustRootName,
  parseX509ClientId,
  x509IssuerOf,
  type AccessRequest,
  type AdministeredResource,
  type AdministrationRequest,
  type ImpersonationRequest,
  type JsonObject,
  type JsonSchema,
  type PolicyId,
  type RoleName,
  type Workload,
} from "@mayfly/spec";
import { parseAdministered } from "./parse-administered.ts";
import { MUTABLE_TAG_PREFIX } from "./schema.ts";

interface Expectation {
  readonly name: string;
  readonly workload: Workload;
  readonly expect: "permit" | "deny";
  /** Exactly these policies determine the verdict; null: any. */
  readonly because: readonly PolicyId[] | null;
}
/** One expectation of a `*.test.yaml` file, in normal form. */
export type PolicyTest = CredentialPolicyTest | AdministrationPolicyTest | ImpersonationPolicyTest;
export interface ImpersonationPolicyTest extends Expectation {
  readonly about: "impersonation";
  readonly initiator: string;
  readonly initiatorTrustRoot: ImpersonationRequest["initiatorTrustRoot"];
}
export interface AdministrationPolicyTest extends Expectation {
  readonly about: "administration";
  readonly action: AdministrationRequest["action"];
  readonly resource: AdministeredResource;
}
export interface CredentialPolicyTest extends Expectation {
  readonly about: "credentials";
  readonly action: AccessRequest["action"];
  readonly role: RoleName;
  readonly actorChain: readonly string[];
  readonly task: AccessRequest["task"];
  /** Null: as long as task and role allow. */
  readonly ttlSeconds: number | null;
  /** What the test pretends about the role, over what the catalogue says. */
  readonly roleFacts: Partial<
    Pick<AccessRequest["role"], "backendType" | "dataClass" | "reversibility" | "environment">
  >;
  /** Null: the catalogue's. */
  readonly grant: JsonObject | null;
}

const TESTS_MAX = 1_000;
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const line = z.string().min(1).max(4_096);
const list = z.array(line).max(256);
const DURATION = { error: "expected seconds, or a duration such as 15m" };
const duration = z.union(
  [z.int().min(0), z.string().regex(/^\d{1,9}[smhd]$/u, DURATION)],
  DURATION,
);
const testShape = z.strictObject({
  name: line,
  workload: line,
  trust_root: line.optional(),
  attributes: z.record(line, z.string().max(4_096)).default({}),
  issue: line.optional(),
  renew: line.optional(),
  administer: z.enum(ADMINISTRATIVE_ACTIONS).optional(),
  impersonate: line.optional(),
  initiator_trust_root: line.optional(),
  on: line.optional(),
  facts: z.record(z.string(), z.json()).optional(),
  actors: list.optional(),
  task: z
    .strictObject({
      deadline: duration.default(900),
      idle_timeout: duration.default(60),
      depth: z.int().min(0).optional(),
      targets: list.default([]),
      initiator: line.optional(),
      initiator_trust_root: line.optional(),
      key_binding: z.enum(KEY_BINDINGS).default("none"),
      impersonates: z.boolean().default(false),
    })
    .optional(),
  ttl: duration.optional(),
  role_facts: z
    .strictObject({
      backend_type: line.optional(),
      data_class: z.enum(["public", "internal", "confidential", "restricted"]).optional(),
      reversibility: z.enum(["read_only", "reversible", "irreversible"]).optional(),
      environment: line.optional(),
    })
    .optional(),
  grant: z.record(z.string(), z.json()).optional(),
  expect: z.enum(["permit", "deny"]),
  because: list.optional(),
});
type TaskOfTest = NonNullable<z.output<typeof testShape>["task"]>;
const fileShape = z.array(testShape).max(TESTS_MAX);
/** Of a `*.test.yaml` file, for editors. */
export const POLICY_TESTS_SCHEMA: JsonSchema = z
  .record(z.string(), z.json())
  .parse(z.toJSONSchema(fileShape, { io: "input" }));

/**
 * Reads what stands in a policy test file, already parsed from YAML or JSON. Strict: an unknown
 * member is an {@link InvalidInput} that names it and its place, such as `[2].task.dedline`.
 */
export function parsePolicyTests(value: unknown): readonly PolicyTest[] {
  const parsed = fileShape.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = placeOf(issue?.path ?? []);
    throw new InvalidInput(`${where}: ${issue?.message ?? "not a list of policy tests"}`, {
      where,
    });
  }
  const tests = parsed.data.map(normalise);
  const names = new Set<string>();
  tests.forEach(({ name }, at) => {
    if (names.has(name)) fault(`[${at}].name`, `two tests are called ${JSON.stringify(name)}`);
    names.add(name);
  });
  return tests;
}

function normalise(test: z.output<typeof testShape>, at: number): PolicyTest {
  const where = `[${at}]`;
  const { issue, renew, administer, impersonate } = test;
  const asked = [issue, renew, administer, impersonate].filter((each) => each !== undefined);
  if (asked.length !== 1) {
    fault(
      where,
      'give one of "issue" or "renew", with the role, "administer" with "on", or "impersonate" ' +
        "with the initiator",
    );
  }
  const expectation: Expectation = {
    name: test.name,
    workload: workloadOf(test, where),
    expect: test.expect,
    because: test.because?.map((id, n) => parsePolicyId(id, `${where}.because[${n}]`)) ?? null,
  };
  if (impersonate !== undefined) return impersonationTest(test, impersonate, expectation, where);
  if (test.initiator_trust_root !== undefined) {
    fault(`${where}.initiator_trust_root`, "is for tests of impersonate; of others, within task");
  }
  return administer === undefined
    ? credentialTest(test, expectation, where)
    : administrationTest(test, administer, expectation, where);
}

const OF_CREDENTIALS = ["actors", "task", "ttl", "role_facts", "grant"] as const;
const OF_ADMINISTRATION = ["on", "facts"] as const;

function administrationTest(
  test: z.output<typeof testShape>,
  action: AdministrationRequest["action"],
  expectation: Expectation,
  where: string,
): AdministrationPolicyTest {
  refuseOthers(test, OF_CREDENTIALS, "issue and renew", where);
  const { on } = test;
  if (on === undefined) return fault(`${where}.on`, "say on what, such as backend orders-db");
  const resource = parseAdministered(on, test.facts, where);
  return { about: "administration", action, resource, ...expectation };
}

function impersonationTest(
  test: z.output<typeof testShape>,
  initiator: string,
  expectation: Expectation,
  where: string,
): ImpersonationPolicyTest {
  refuseOthers(test, OF_CREDENTIALS, "issue and renew", where);
  refuseOthers(test, OF_ADMINISTRATION, "administer", where);
  const root = test.initiator_trust_root ?? rootOf(initiator);
  if (root === null) {
    return fault(`${where}.impersonate`, "expected a SPIFFE ID, or <issuer>#<subject>");
  }
  const initiatorTrustRoot = parseTrustRootName(root, `${where}.initiator_trust_root`);
  return { about: "impersonation", initiator, initiatorTrustRoot, ...expectation };
}

/** The root that a name like this would have: its trust domain, or its issuer's host. */
const rootOf = (name: string): string | null =>
  /^spiffe:\/\/(?<domain>[^/?#]+)\/[^?#]+$/u.exec(name)?.groups?.["domain"] ?? hostOf(name);

function refuseOthers(
  test: z.output<typeof testShape>,
  members: readonly (keyof z.output<typeof testShape>)[],
  of: string,
  where: string,
): void {
  const foreign = members.find((name) => test[name] !== undefined);
  if (foreign !== undefined) fault(`${where}.${foreign}`, `is for tests of ${of}`);
}

const NO_TASK: TaskOfTest = {
  deadline: 900,
  idle_timeout: 60,
  targets: [],
  key_binding: "none",
  impersonates: false,
};

function credentialTest(
  test: z.output<typeof testShape>,
  expectation: Expectation,
  where: string,
): CredentialPolicyTest {
  refuseOthers(test, OF_ADMINISTRATION, "administer", where);
  const { issue, renew, task = NO_TASK, role_facts: facts = {}, actors = [] } = test;
  const action = issue === undefined ? "renew" : "issue";
  return {
    about: "credentials",
    action,
    role: parseRoleName(issue ?? renew, `${where}.${action}`),
    actorChain: actors,
    task: {
      deadlineSeconds: seconds(task.deadline),
      idleTimeoutSeconds: seconds(task.idle_timeout),
      depth: task.depth ?? actors.length,
      targets: task.targets,
      verifiedInitiator: task.initiator ?? null,
      initiatorTrustRoot: initiatorRootOf(task, where),
      keyBinding: task.key_binding,
      impersonates: impersonatesIn(task, where),
    },
    ttlSeconds: test.ttl === undefined ? null : seconds(test.ttl),
    roleFacts: {
      ...(facts.backend_type === undefined ? {} : { backendType: facts.backend_type }),
      ...(facts.data_class === undefined ? {} : { dataClass: facts.data_class }),
      ...(facts.reversibility === undefined ? {} : { reversibility: facts.reversibility }),
      ...(facts.environment === undefined ? {} : { environment: facts.environment }),
    },
    grant: test.grant ?? null,
    ...expectation,
  };
}

/** Unless given, the root that a name like the initiator's would have; no name, no root. */
function initiatorRootOf(
  task: TaskOfTest,
  where: string,
): AccessRequest["task"]["initiatorTrustRoot"] {
  const { initiator, initiator_trust_root: given } = task;
  const at = `${where}.task.initiator_trust_root`;
  if (initiator === undefined) {
    return given === undefined ? null : fault(at, "there is no initiator whom it vouched for");
  }
  if (given !== undefined) return parseTrustRootName(given, at);
  return hostOf(initiator) === null ? null : parseTrustRootName(hostOf(initiator), at);
}

function impersonatesIn({ impersonates, initiator }: TaskOfTest, where: string): boolean {
  if (impersonates && initiator === undefined) {
    fault(`${where}.task.impersonates`, "there is no initiator whom it could appear as");
  }
  return impersonates;
}

/** Of `<issuer>#<subject>`; null for another form. */
const hostOf = (name: string): string | null =>
  /^(?:https?:\/\/)?(?<host>[^#/:]+)[^#]*#.+$/u.exec(name)?.groups?.["host"] ?? null;

/** A SPIFFE ID, or `<issuer>#<subject>`; the trust root is the domain's or the issuer's host. */
function workloadOf(test: z.output<typeof testShape>, where: string): Workload {
  const spiffe = /^spiffe:\/\/(?<domain>[^/?#]+)\/[^?#]+$/u.exec(test.workload)?.groups;
  const oidc = /^(?<issuer>[^#]+)#(?<subject>.+)$/u.exec(test.workload)?.groups;
  const entries = Object.entries(test.attributes).map(([name, value]) => {
    const mutable = name.startsWith(MUTABLE_TAG_PREFIX);
    const attribute = { value, stability: mutable ? "mutable" : "immutable" } as const;
    return [mutable ? name.slice(MUTABLE_TAG_PREFIX.length) : name, attribute] as const;
  });
  if (new Set(entries.map(([name]) => name)).size !== entries.length) {
    fault(`${where}.attributes`, "an attribute is given as mutable and as immutable");
  }
  const attributes = Object.fromEntries(entries);
  const client = parseX509ClientId(test.workload);
  if (client !== null) {
    const trustRoot = parseTrustRootName(
      test.trust_root ?? client.trustRoot,
      `${where}.trust_root`,
    );
    const issuer = x509IssuerOf(client.trustRoot);
    return { kind: "x509", issuer, subject: client.client, trustRoot, attributes };
  }
  const domain = spiffe?.["domain"];
  const issuer = oidc?.["issuer"];
  const subject = oidc?.["subject"];
  const root = (fallback: string) =>
    parseTrustRootName(test.trust_root ?? fallback, `${where}.trust_root`);
  if (domain !== undefined) {
    const named = { kind: "spiffe", issuer: `spiffe://${domain}`, subject: test.workload } as const;
    return { ...named, trustRoot: root(domain), attributes };
  }
  if (issuer !== undefined && subject !== undefined) {
    const host = issuer.replace(/^https?:\/\//u, "").replace(/[/:].*$/u, "");
    return { kind: "oidc", issuer, subject, trustRoot: root(host), attributes };
  }
  return fault(
    `${where}.workload`,
    "expected a SPIFFE ID, <issuer>#<subject>, or x509:<trust root>#<client>",
  );
}

function seconds(value: number | string): number {
  if (typeof value === "number") return value;
  return Number(value.slice(0, -1)) * (UNITS[value.slice(-1)] ?? 1);
}

function fault(where: string, what: string): never {
  throw new InvalidInput(`${where}: ${what}`, { where });
}

const placeOf = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? "policy tests"
    : path
        .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
        .join("")
        .replace(/^\./u, "");
