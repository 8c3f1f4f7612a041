import { z } from "zod";
import { parseTrustRootName, type Actor, type Put, type TrustRoot } from "@mayfly/spec";
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

/** Registers a trust root; `config` is the identity package's to parse. Throws `invalid_input`. */
export async function putTrustRoot(
  parts: CoreParts,
  input: unknown,
  actor: Actor,
): Promise<TrustRootPut> {
  const form = parseStrict(FORM, input, "invalid_input", "trust");
  const parsed = parts.ports.trustRoots.parse(form.trust, form.kind, form.config);
  const trustRoot: TrustRoot = { ...parsed, enabled: form.enabled ?? true };
  const put = await parts.ports.catalog.putTrustRoot(trustRoot, actor);
  await parts.catalog.fresh();
  return { put, trustRoot };
}
