import { z } from "zod";
import {
  backendOfRole,
  InvalidInput,
  LEASE_STATES,
  parseBackendId,
  parseId,
  parseResourceServerName,
  parseRoleName,
  parseTrustRootName,
  TASK_STATES,
  type AdministeredResource,
} from "@mayfly/spec";

const line = z.string().min(1).max(4_096);
const dataClass = z.enum(["public", "internal", "confidential", "restricted"]);
const reversibility = z.enum(["read_only", "reversible", "irreversible"]);
const FACTS = {
  none: z.strictObject({}),
  backend: z.strictObject({ type: line.optional() }),
  role: z.strictObject({
    backend_type: line.optional(),
    data_class: dataClass.optional(),
    reversibility: reversibility.optional(),
    environment: line.optional(),
  }),
  trust: z.strictObject({
    kind: z.enum(["oidc", "spiffe", "x509"]).optional(),
    issuer: line.optional(),
    administrators: z.boolean().default(false),
    initiators: z.boolean().default(false),
  }),
  server: z.strictObject({ audiences: z.array(line).max(64).default([]) }),
  task: z.strictObject({
    workload: line.optional(),
    state: z.enum(TASK_STATES).default("active"),
    depth: z.int().min(0).default(0),
    initiator: line.optional(),
  }),
  lease: z.strictObject({
    workload: line.optional(),
    role: line.optional(),
    state: z.enum(LEASE_STATES).default("active"),
  }),
};

/** Any task or lease will do where a test names none. */
const SOME_TASK = "task_00000000000070008000000000000000";
const SOME_LEASE = "lease_00000000000070008000000000000000";

/**
 * What `on` of a policy test names, with the facts that it gives: `backend orders-db`,
 * `role orders-db/reader`, `trust acme.test`, `resource-server reports-api`, `policies`,
 * `catalog`, `ledger`, `task`, `lease`.
 * A fact that is not given is empty, or what the catalogue says of the role.
 */
export function parseAdministered(on: string, facts: unknown, where: string): AdministeredResource {
  const [kind = "", name, ...rest] = on.split(" ");
  const at = `${where}.on`;
  const given = <T>(shape: z.ZodType<T>): T => parseFacts(shape, facts ?? {}, `${where}.facts`);
  if (rest.length > 0) throw fault(at, EXPECTED);
  switch (kind) {
    case "catalog":
    case "ledger":
    case "policies":
      if (name !== undefined) throw fault(at, `there is one ${kind}: name nothing after it`);
      given(FACTS.none);
      return { kind };
    case "backend": {
      const { type = "" } = given(FACTS.backend);
      return { kind, id: parseBackendId(name, at), type };
    }
    case "role": {
      const role = parseRoleName(name, at);
      const said = given(FACTS.role);
      return {
        kind,
        name: role,
        backendId: backendOfRole(role),
        backendType: said.backend_type ?? "",
        dataClass: said.data_class ?? "",
        reversibility: said.reversibility ?? "",
        environment: said.environment ?? "",
      };
    }
    case "trust": {
      const { kind: trustKind = "", issuer = "", ...flags } = given(FACTS.trust);
      return {
        kind: "trust_root",
        name: parseTrustRootName(name, at),
        trustKind,
        issuer,
        ...flags,
      };
    }
    case "resource-server": {
      const named = parseResourceServerName(name, at);
      return { kind: "resource_server", name: named, ...given(FACTS.server) };
    }
    case "task": {
      const { workload = "", initiator = null, ...said } = given(FACTS.task);
      const id = parseId("task", name ?? SOME_TASK, at);
      return { kind, id, workload, verifiedInitiator: initiator, ...said };
    }
    case "lease": {
      const said = given(FACTS.lease);
      const role = said.role === undefined ? null : parseRoleName(said.role, `${where}.facts.role`);
      return {
        kind,
        id: parseId("lease", name ?? SOME_LEASE, at),
        taskId: parseId("task", SOME_TASK, at),
        role,
        workload: said.workload ?? null,
        backendId: role === null ? null : backendOfRole(role),
        state: said.state,
      };
    }
    default:
      throw fault(at, EXPECTED);
  }
}

const EXPECTED =
  "expected catalog, ledger, policies, backend <name>, role <backend>/<shape>, trust <name>, " +
  "resource-server <name>, task or lease";

function parseFacts<T>(shape: z.ZodType<T>, facts: unknown, where: string): T {
  const parsed = shape.safeParse(facts);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = [where, ...(issue?.path ?? []).map(String)].join(".");
  throw fault(path, issue?.message ?? "not acceptable");
}

const fault = (where: string, what: string): InvalidInput =>
  new InvalidInput(`${where}: ${what}`, { where });
