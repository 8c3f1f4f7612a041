import {
  InvalidInput,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";

/**
 * The fake's vocabulary, small but of the same kinds as a real one: a secret in the configuration,
 * a list that a request may narrow, a number that it may lower.
 */
export interface FakeRole {
  readonly groups: readonly string[];
  readonly connections: number;
}

const text = { type: "string", minLength: 1, maxLength: 200 } as const;
const groups = { type: "array", items: text, minItems: 1, maxItems: 16 } as const;
const connections = { type: "integer", minimum: 1, maximum: 1000 } as const;

export const FAKE_CONFIG_SCHEMA: JsonSchema = {
  type: "object",
  properties: { address: text, password: { ...text, writeOnly: true } },
  required: ["address", "password"],
  additionalProperties: false,
};
export const FAKE_ROLE_SCHEMA: JsonSchema = {
  type: "object",
  properties: { groups, connections: { ...connections, default: 4 } },
  required: ["groups"],
  additionalProperties: false,
};
export const FAKE_PARAMS_SCHEMA: JsonSchema = {
  type: "object",
  properties: { groups, connections },
  additionalProperties: false,
};

function membersOf(input: unknown, where: string, known: readonly string[]): Map<string, unknown> {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new InvalidInput(`${where}: expected an object`, { where });
  }
  const members = new Map<string, unknown>(Object.entries(input));
  for (const key of members.keys()) {
    if (!known.includes(key)) {
      throw new InvalidInput(
        `${where}.${key}: unknown key "${key}"; known are ${known.join(", ")}`,
        { where: `${where}.${key}` },
      );
    }
  }
  return members;
}

function textIn(value: unknown, where: string): string {
  if (typeof value !== "string" || value.length < 1 || value.length > 200) {
    throw new InvalidInput(`${where}: expected a text of 1 to 200 characters`, { where });
  }
  return value;
}
function groupsIn(value: unknown, where: string): readonly string[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > 16) {
    throw new InvalidInput(`${where}: expected a list of 1 to 16 names`, { where });
  }
  return [...new Set(value.map((group, n) => textIn(group, `${where}[${n}]`)))].toSorted();
}
function connectionsIn(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 1000) {
    throw new InvalidInput(`${where}: expected a whole number from 1 to 1000`, { where });
  }
  return value;
}

export function parseFakeConfig(input: unknown): JsonObject {
  const members = membersOf(input, "config", ["address", "password"]);
  return {
    address: textIn(members.get("address"), "config.address"),
    password: textIn(members.get("password"), "config.password"),
  };
}
export function parseFakeRole(input: unknown): JsonObject & FakeRole {
  const members = membersOf(input, "role", ["groups", "connections"]);
  return {
    groups: groupsIn(members.get("groups"), "role.groups"),
    connections: connectionsIn(members.get("connections") ?? 4, "role.connections"),
  };
}
export function parseFakeParams(input: unknown): JsonObject & Partial<FakeRole> {
  const members = membersOf(input, "params", ["groups", "connections"]);
  return {
    ...(members.has("groups") ? { groups: groupsIn(members.get("groups"), "params.groups") } : {}),
    ...(members.has("connections")
      ? { connections: connectionsIn(members.get("connections"), "params.connections") }
      : {}),
  };
}

export function planFake(request: PlanRequest): IssuePlan {
  const role = parseFakeRole(request.role);
  const params = parseFakeParams(request.params);
  for (const group of params.groups ?? []) {
    if (!role.groups.includes(group)) {
      throw new InvalidInput(`params.groups: the role does not have "${group}"`, {
        where: "params.groups",
      });
    }
  }
  if ((params.connections ?? 0) > role.connections) {
    throw new InvalidInput(`params.connections: the role allows at most ${role.connections}`, {
      where: "params.connections",
    });
  }
  return {
    leaseId: request.leaseId,
    externalName: `mf_${request.installation}_${request.leaseId.slice("lease_".length)}`,
    expiresAt: request.expiresAt,
    grant: {
      groups: params.groups ?? role.groups,
      connections: params.connections ?? role.connections,
    },
  };
}

const grantOf = (plan: IssuePlan): FakeRole | null => {
  try {
    return parseFakeRole(plan.grant);
  } catch {
    return null;
  }
};

export function isWithinFake(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grantOf(inner), grantOf(outer)];
  if (narrow === null || wide === null || inner.expiresAt > outer.expiresAt) return false;
  return (
    narrow.connections <= wide.connections &&
    narrow.groups.every((group) => wide.groups.includes(group))
  );
}

export interface FakeHandle {
  readonly name: string;
  readonly id: number;
}
export function parseFakeHandle(input: string): FakeHandle {
  const handle: unknown = JSON.parse(input);
  const members = membersOf(handle, "handle", ["name", "id"]);
  const id = members.get("id");
  if (typeof id !== "number") throw new InvalidInput("handle.id: expected a number");
  return { name: textIn(members.get("name"), "handle.name"), id };
}
