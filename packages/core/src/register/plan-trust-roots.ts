import { BrokerError, type JsonObject, type TrustRoot } from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { changedFields } from "./changed-fields.ts";
import type { Planned } from "./plan-backend.ts";
import { parseTrustRoot, refuseRival } from "./trust-roots.ts";

/** What registering these trust roots, in this order, would change or refuse. Writes nothing. */
export async function planTrustRoots(
  parts: CoreParts,
  inputs: readonly unknown[],
): Promise<readonly Planned[]> {
  const { trustRoots } = (await parts.catalog.fresh()).snapshot;
  const roots = new Map(trustRoots.map((root) => [root.name, root]));
  return inputs.map((input): Planned => {
    try {
      const root = parseTrustRoot(parts, input);
      if (root.enabled) refuseRival(root, [...roots.values()]);
      const existing = roots.get(root.name);
      roots.set(root.name, root);
      const [from, to] = [existing === undefined ? {} : membersOf(existing), membersOf(root)];
      const changes = changedFields({ plain: from, shown: from }, { plain: to, shown: to });
      if (existing === undefined) return { name: root.name, put: "created", changes };
      return { name: root.name, put: changes.length === 0 ? "unchanged" : "updated", changes };
    } catch (error) {
      if (BrokerError.is(error)) return { name: nameOf(input), refused: error };
      throw error;
    }
  });
}

const membersOf = ({ kind, enabled, config }: TrustRoot): JsonObject => ({ kind, enabled, config });

function nameOf(input: unknown): string {
  if (typeof input !== "object" || input === null || !("trust" in input)) return "";
  return typeof input.trust === "string" ? input.trust : "";
}
