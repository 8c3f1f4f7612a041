import { z } from "zod";
import {
  BrokerError,
  parseTrustRootName,
  type Actor,
  type Put,
  type TrustRoot,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { jsonObject } from "../strict/json-object.ts";
import { parseStrict, parsedBy } from "../strict/parse-strict.ts";

export interface TrustRootPut {
  readonly put: Put;
  readonly trustRoot: TrustRoot;
}

const FORM = z.strictObject({
  trust: parsedBy(parseTrustRootName),
  kind: z.enum(["spiffe", "oidc"]),
  enabled: z.boolean().optional(),
  config: jsonObject,
});

/**
 * Registers a trust root; `config` is the identity package's to parse. Throws `invalid_input`, and
 * `conflict` where another enabled one has its issuer.
 */
export async function putTrustRoot(
  parts: CoreParts,
  input: unknown,
  actor: Actor,
): Promise<TrustRootPut> {
  const trustRoot = parseTrustRoot(parts, input);
  if (trustRoot.enabled) refuseRival(trustRoot, (await parts.catalog.fresh()).snapshot.trustRoots);
  const put = await parts.ports.catalog.putTrustRoot(trustRoot, actor);
  await parts.catalog.fresh();
  return { put, trustRoot };
}

/** The root that a file describes. Asks nobody. */
export function parseTrustRoot(parts: CoreParts, input: unknown): TrustRoot {
  const form = parseStrict(FORM, input, "invalid_input", "trust");
  const parsed = parts.ports.trustRoots.parse(form.trust, form.kind, form.config);
  return { ...parsed, enabled: form.enabled ?? true };
}

/** Two roots that claim the same tokens vouch for none of them: nobody of either gets in. */
export function refuseRival(trustRoot: TrustRoot, others: readonly TrustRoot[]): void {
  const rival = others.find(
    (other) =>
      other.enabled &&
      other.name !== trustRoot.name &&
      other.kind === trustRoot.kind &&
      claimsOf(other) === claimsOf(trustRoot),
  );
  if (rival === undefined) return;
  throw new BrokerError(
    "conflict",
    `The enabled trust root ${rival.name} has the same issuer or trust domain: with both, no ` +
      "token of it would be accepted. Change, disable or delete that one first.",
    { where: "trust.config", public: { rival: rival.name } },
  );
}

const claimsOf = ({ config }: TrustRoot): unknown => config["trust_domain"] ?? config["issuer"];
