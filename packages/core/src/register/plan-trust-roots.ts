import {
  BrokerError,
  refuseRivalTrustRoot,
  tagOf,
  type JsonObject,
  type TrustRoot,
} from "@mayfly/spec";
import { requireAuthorised } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import type { CoreParts } from "../core-parts.ts";
import { changedFields } from "./changed-fields.ts";
import type { Planned } from "./plan-backend.ts";
import { asksToRegisterTrust, parseTrustRoot } from "./trust-roots.ts";

/** What registering these trust roots, in this order, would change or refuse. Writes nothing. */
export async function planTrustRoots(
  parts: CoreParts,
  inputs: readonly unknown[],
  by: Author,
): Promise<readonly Planned[]> {
  const { trustRoots } = (await parts.catalog.fresh()).snapshot;
  const roots = new Map<string, TrustRoot>(trustRoots.map((root) => [root.name, root]));
  const tags = new Map<string, string>(trustRoots.map((root) => [root.name, tagOf(root)]));
  const planned: Planned[] = [];
  for (const input of inputs) {
    try {
      planned.push(await planOne(parts, { roots, tags }, input, by));
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
      planned.push({ name: nameOf(input), refused: error });
    }
  }
  return planned;
}

async function planOne(
  parts: CoreParts,
  { roots, tags }: { roots: Map<string, TrustRoot>; tags: ReadonlyMap<string, string> },
  input: unknown,
  by: Author,
): Promise<Planned> {
  const root = parseTrustRoot(parts, [...roots.values()], input);
  const existing = roots.get(root.name);
  await requireAuthorised(parts, by, asksToRegisterTrust(root, existing ?? null));
  refuseRivalTrustRoot(root, [...roots.values()]);
  roots.set(root.name, root);
  // A new one's configuration is shown member by member too: what makes administrators is in it.
  const from = existing === undefined ? { config: {} } : membersOf(existing);
  const to = membersOf(root);
  const changes = changedFields({ plain: from, shown: from }, { plain: to, shown: to });
  if (existing === undefined) return { name: root.name, put: "created", changes, tag: null };
  const put = changes.length === 0 ? "unchanged" : "updated";
  return { name: root.name, put, changes, tag: tags.get(root.name) ?? null };
}

const membersOf = ({ kind, enabled, config }: TrustRoot): JsonObject => ({ kind, enabled, config });

function nameOf(input: unknown): string {
  if (typeof input !== "object" || input === null || !("trust" in input)) return "";
  return typeof input.trust === "string" ? input.trust : "";
}
