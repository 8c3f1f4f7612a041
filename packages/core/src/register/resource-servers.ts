import { z } from "zod";
import {
  BrokerError,
  isResourceServer,
  isTaskTokenOf,
  NAME_PATTERNS,
  NO_TERMS,
  parseBackendId,
  parseResourceServerName,
  parseSpiffeIdPattern,
  tagOf,
  type JsonSchema,
  type Precondition,
  type Put,
  type RegisteredResourceServer,
  type ResourceServer,
  type ResourceServerName,
  type Task,
  type Workload,
} from "@mayfly/spec";
import {
  askToSwitch,
  authoriseAll,
  requireAuthorised,
  type Asks,
} from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import { resourceServerResource } from "../administer/resources.ts";
import type { CoreParts } from "../core-parts.ts";
import { jsonObject } from "../strict/json-object.ts";
import { parseStrict, parsedBy } from "../strict/parse-strict.ts";
import { shownText } from "../strict/texts.ts";
import { changedFields } from "./changed-fields.ts";
import type { Planned } from "./plan-backend.ts";

export interface ResourceServerPut {
  readonly put: Put;
  readonly server: RegisteredResourceServer;
}

const IDENTITIES_MAX = 16;
const AUDIENCES_MAX = 64;
const line = (max: number, what: string) =>
  z.string().regex(new RegExp(`^[\\x21-\\x7e]{1,${max}}$`), {
    error: `expected ${what}: 1 to ${max} visible ASCII characters`,
  });

const bySpiffeId = z.strictObject({
  spiffe_id: z
    .string()
    .max(2050)
    .refine((text) => parseSpiffeIdPattern(text) !== null, {
      error: "expected a SPIFFE ID, or one with /* behind it for all below",
    })
    .meta({ pattern: "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*(/\\*)?$" })
    .describe("A SPIFFE ID, or one with /* behind it for all below, by whole segments."),
});
const bySubject = z.strictObject({
  issuer: line(2048, "an issuer").describe("Of an OIDC trust root, byte for byte."),
  subject: line(512, "a subject").describe(
    "The token's sub; of a client with a key of its own, its issuer again.",
  ),
});
const isOnce = (items: readonly unknown[]): boolean =>
  new Set(items.map((item) => JSON.stringify(item))).size === items.length;

const FORM = z.strictObject({
  resource_server: parsedBy(parseResourceServerName, {
    type: "string",
    pattern: NAME_PATTERNS.resourceServer,
    description: "Its name.",
  }),
  enabled: z
    .boolean()
    .optional()
    .describe("It is told nothing where false; as it is, unless given."),
  description: shownText(500).optional().describe("For people."),
  identities: z
    .array(
      z.union([bySpiffeId, bySubject], {
        error: "expected spiffe_id alone, or issuer and subject",
      }),
    )
    .min(1, { error: "expected at least one identity" })
    .max(IDENTITIES_MAX)
    .refine(isOnce, { error: "an identity is repeated" })
    .describe("Who it is: any of these, as a trust root verifies it."),
  audiences: z
    .array(line(2048, "an audience"))
    .max(AUDIENCES_MAX)
    .refine(isOnce, { error: "an audience is repeated" })
    .default([])
    .describe("The aud of access tokens that are for it."),
  task_tokens: z
    .union(
      [
        z.literal("all"),
        z
          .array(parsedBy(parseBackendId, { type: "string", pattern: NAME_PATTERNS.backend }))
          .max(AUDIENCES_MAX)
          .refine(isOnce, { error: "a backend is repeated" }),
      ],
      { error: `expected "all", or a list of at most ${AUDIENCES_MAX} backends` },
    )
    .default([])
    .describe(
      "The backends of which it may introspect task tokens: of tasks that declared a role of one " +
        "of them. `all`: of every task.",
    ),
});
/** The JSON Schema of its file. */
export const RESOURCE_SERVER_SCHEMA: JsonSchema = jsonObject.parse(
  z.toJSONSchema(FORM, { io: "input" }),
);

export const findResourceServer = <T extends ResourceServer>(
  servers: readonly T[],
  name: ResourceServerName,
): T | null => servers.find((server) => server.name === name) ?? null;

export const noResourceServer = (name: ResourceServerName): BrokerError =>
  new BrokerError("not_found", `There is no resource server ${name}.`, { where: "name" });

/** Throws `invalid_input`, `denied`, `precondition_failed`. */
export async function putResourceServer(
  parts: CoreParts,
  input: unknown,
  by: Author,
  precondition: Precondition = NO_TERMS.precondition,
): Promise<ResourceServerPut> {
  const { put, name } = await decidedChange(parts, async ({ snapshot, version: decidedAt }) => {
    const server = parseResourceServer(snapshot.resourceServers, input);
    const existing = findResourceServer(snapshot.resourceServers, server.name);
    const { actor, decisionId } = await authoriseAll(parts, by, asksToRegister(server, existing));
    const terms = { precondition, decisionId, decidedAt };
    const { catalog } = parts.ports;
    return { put: await catalog.putResourceServer(server, actor, terms), name: server.name };
  });
  const after = (await parts.catalog.fresh()).snapshot.resourceServers;
  const server = findResourceServer(after, name);
  if (server !== null) return { put, server };
  throw new BrokerError(
    "conflict",
    `resource server ${name} was deleted as soon as it was registered`,
  );
}

/** Both as it would be and as it is. */
const asksToRegister = (server: ResourceServer, existing: ResourceServer | null): Asks => [
  {
    action: "register",
    resources: [
      resourceServerResource(server.name, server),
      ...(existing === null ? [] : [resourceServerResource(server.name, existing)]),
    ],
  },
  ...askToSwitch(existing, server.enabled, () => resourceServerResource(server.name, existing)),
];

function parseResourceServer(
  registered: readonly ResourceServer[],
  input: unknown,
): ResourceServer {
  const form = parseStrict(FORM, input, "invalid_input", "resource_server");
  const existing = findResourceServer(registered, form.resource_server);
  return {
    name: form.resource_server,
    enabled: form.enabled ?? existing?.enabled ?? true,
    description: form.description ?? "",
    identities: form.identities.map((identity) =>
      "spiffe_id" in identity ? { spiffeId: identity.spiffe_id } : identity,
    ),
    audiences: form.audiences,
    taskTokens: form.task_tokens,
  };
}

/** What registering these, in this order, would change or refuse. Writes nothing. */
export async function planResourceServers(
  parts: CoreParts,
  inputs: readonly unknown[],
  by: Author,
): Promise<readonly Planned[]> {
  const { resourceServers } = (await parts.catalog.fresh()).snapshot;
  const planned: Planned[] = [];
  for (const input of inputs) {
    try {
      planned.push(await planOne(parts, resourceServers, input, by));
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
      planned.push({ name: nameOf(input), refused: error });
    }
  }
  return planned;
}

async function planOne(
  parts: CoreParts,
  registered: readonly RegisteredResourceServer[],
  input: unknown,
  by: Author,
): Promise<Planned> {
  const server = parseResourceServer(registered, input);
  const existing = findResourceServer(registered, server.name);
  await requireAuthorised(parts, by, asksToRegister(server, existing));
  const from = existing === null ? {} : resourceServerMembers(existing);
  const to = resourceServerMembers(server);
  const changes = changedFields({ plain: from, shown: from }, { plain: to, shown: to });
  const { name } = server;
  if (existing === null) return { name, put: "created", changes, tag: null };
  const put = changes.length === 0 ? "unchanged" : "updated";
  return { name, put, changes, tag: tagOf(existing) };
}

/** As its file says it, without its name. */
export const resourceServerMembers = (server: ResourceServer) => ({
  enabled: server.enabled,
  description: server.description,
  identities: server.identities.map((identity): { readonly [name: string]: string } =>
    "spiffeId" in identity ? { spiffe_id: identity.spiffeId } : { ...identity },
  ),
  audiences: [...server.audiences],
  task_tokens: shownTaskTokens(server),
});

/** One that an earlier version registered is told of all, and shown so. */
export const shownTaskTokens = ({ taskTokens = "all" }: ResourceServer): "all" | string[] =>
  taskTokens === "all" ? "all" : [...taskTokens];

function nameOf(input: unknown): string {
  const form = z.looseObject({ resource_server: z.string() }).safeParse(input);
  return form.success ? form.data.resource_server : "";
}

/**
 * The audiences that this workload serves, as a registered resource server that is enabled; null
 * where it is none. May be none at all: a server of task tokens alone.
 */
export async function servedAudiences(
  parts: CoreParts,
  workload: ServingWorkload,
): Promise<ReadonlySet<string> | null> {
  const served = await serversOf(parts, workload);
  return served.length === 0 ? null : new Set(served.flatMap(({ audiences }) => audiences));
}

/** Whether this workload is a resource server that may introspect the task's token. */
export const servesTask = async (
  parts: CoreParts,
  workload: ServingWorkload,
  task: Task,
): Promise<boolean> =>
  (await serversOf(parts, workload)).some((server) => isTaskTokenOf(server, task));

export type ServingWorkload = Pick<Workload, "kind" | "issuer" | "subject">;

async function serversOf(
  parts: CoreParts,
  workload: ServingWorkload,
): Promise<readonly ResourceServer[]> {
  const { resourceServers } = (await parts.catalog.current()).snapshot;
  return resourceServers.filter((server) => isResourceServer(server, workload));
}
