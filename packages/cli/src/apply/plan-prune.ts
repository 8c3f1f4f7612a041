import { z } from "zod";
import { tagOf } from "@mayfly/spec";
import { readAnswer, pageAnswer } from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import type { DesiredObject } from "./desired-objects.ts";
import type { ApplyFiles } from "./find-apply-files.ts";

/** What is registered; only what pruning and tests need of it. */
export interface Registered {
  readonly backends: readonly (Revised & { readonly id: string })[];
  readonly roles: readonly (Revised & { readonly role: string; readonly backend: string })[];
  readonly trust: readonly (Revised & {
    readonly name: string;
    readonly config: Readonly<Record<string, unknown>>;
  })[];
  readonly servers: readonly (Revised & { readonly name: string })[];
}

/** What it is now, for the precondition of its deletion. */
interface Revised {
  readonly revision: number;
  readonly enabled: boolean;
}
const revised = { revision: z.number(), enabled: z.boolean() };

export const registeredShapes = {
  backend: z.looseObject({ ...revised, id: z.string() }),
  role: z.looseObject({ ...revised, role: z.string(), backend: z.string() }),
  trust: z.looseObject({
    ...revised,
    name: z.string(),
    config: z.record(z.string(), z.unknown()),
  }),
  server: z.looseObject({ ...revised, name: z.string() }),
} as const;

export interface PlannedDeletion {
  readonly kind: "resource_server" | "role" | "backend" | "trust";
  readonly name: string;
  readonly action: "delete" | "keep";
  /** What to know before saying yes, or why it stays. */
  readonly note: string | null;
  /** Of the deletion: what is there is still what was looked at, and said yes to. */
  readonly tag: string;
}

/**
 * What is registered and in no file, in the order in which it would go: resource servers, roles,
 * backends, trust.
 * Only of kinds whose folder is there. A backend with live leases stays, with its reason.
 */
export async function planPrune(
  api: Pick<BrokerApi, "get">,
  files: ApplyFiles,
  desired: readonly DesiredObject[],
  registered: Registered,
): Promise<readonly PlannedDeletion[]> {
  const wanted = new Set(desired.map(({ kind, name }) => `${kind} ${name}`));
  const deletions: PlannedDeletion[] = [];
  if (files.kinds.has("resource_server")) {
    const gone = registered.servers.filter(({ name }) => !wanted.has(`resource_server ${name}`));
    for (const server of gone) {
      const [note, tag] = ["it is told of no token from then on", tagOf(server)];
      const { name } = server;
      deletions.push({ kind: "resource_server", name, action: "delete", note, tag });
    }
  }
  if (files.kinds.has("role")) {
    for (const role of registered.roles.filter((each) => !wanted.has(`role ${each.role}`))) {
      const tag = tagOf(role);
      deletions.push({ kind: "role", name: role.role, action: "delete", note: null, tag });
    }
  }
  if (files.kinds.has("backend")) {
    const gone = registered.backends.filter((each) => !wanted.has(`backend ${each.id}`));
    for (const backend of gone) {
      deletions.push(await backendDeletion(api, backend, deletions, desired, registered));
    }
  }
  if (files.kinds.has("trust")) {
    const gone = registered.trust.filter((each) => !wanted.has(`trust ${each.name}`));
    for (const root of gone) {
      const note = trustNote(root, gone, desired, registered);
      const tag = tagOf(root);
      deletions.push({ kind: "trust", name: root.name, action: "delete", note, tag });
    }
  }
  return deletions;
}

async function backendDeletion(
  api: Pick<BrokerApi, "get">,
  backend: Registered["backends"][number],
  deletions: readonly PlannedDeletion[],
  desired: readonly DesiredObject[],
  registered: Registered,
): Promise<PlannedDeletion> {
  const { id } = backend;
  const tag = tagOf(backend);
  const query = { backend: id, exposed: "true", limit: "1" };
  const { items } = readAnswer(pageAnswer, await api.get("/v1/leases", query));
  const keep = (note: string): PlannedDeletion => ({
    kind: "backend",
    name: id,
    action: "keep",
    note,
    tag,
  });
  if (items.length > 0) {
    return keep(`it has live leases; see: mayfly lease list --backend ${id} --exposed`);
  }
  const going = new Set(deletions.filter(({ kind }) => kind === "role").map(({ name }) => name));
  const role =
    registered.roles.find((each) => each.backend === id && !going.has(each.role))?.role ??
    desired.find((each) => each.kind === "role" && each.name.startsWith(`${id}/`))?.name;
  if (role !== undefined) return keep(`role ${role} is on it, and stays`);
  return { kind: "backend", name: id, action: "delete", note: null, tag };
}

/** Who administers by this root's tokens would be locked out, whoever runs this included. */
function trustNote(
  root: Registered["trust"][number],
  gone: Registered["trust"],
  desired: readonly DesiredObject[],
  registered: Registered,
): string {
  const stays = registered.trust.filter((each) => !gone.includes(each));
  const isAdministrators = (config: unknown): boolean =>
    typeof config === "object" &&
    config !== null &&
    "administrators" in config &&
    config.administrators === true;
  const planned = desired
    .filter(({ kind }) => kind === "trust")
    .map(({ members }) => members["config"]);
  const left = [...stays.filter(({ enabled }) => enabled).map(({ config }) => config), ...planned];
  if (isAdministrators(root.config) && !left.some(isAdministrators)) {
    return (
      "WARNING: it is the last trust root of administrators. Nobody can administer any more but " +
      "with the bootstrap token."
    );
  }
  if (left.length === 0) return "WARNING: it is the last trust root. No identity is accepted then.";
  return "its identities are refused from then on";
}
