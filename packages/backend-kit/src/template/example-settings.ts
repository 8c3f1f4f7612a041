import { z } from "zod";
import {
  apiHost,
  beyondRole,
  certificates,
  leaseRules,
  ownSecret,
  serverPort,
  tlsMode,
} from "@mayfly/backend-kit";

/** Where the upstream is, and as whom the broker asks it. */
export const config = z.strictObject({
  host: apiHost().describe("Where the API listens."),
  port: serverPort().default(443),
  token: ownSecret().describe("The broker's own token."),
  tls: tlsMode(),
  ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call."),
});
export type ExampleConfig = z.infer<typeof config>;

const scopes = z
  .array(z.string().regex(/^[a-z][a-z0-9_.:-]{0,63}$/, "expected a scope"))
  .min(1)
  .max(32)
  .transform((names) => [...new Set(names)].toSorted());

/** What the platform team fixes. */
const role = z.strictObject({ scopes: scopes.describe("All that a lease of this role may do.") });
/** What a request may ask for within it. */
const params = z.strictObject({ scopes: scopes.optional().describe("Fewer than the role has.") });
/** What is asked of the upstream. */
const grant = z.strictObject({ scopes });

export const leases = leaseRules({
  role,
  params,
  grant,
  grantFor: (fixed, asked) => {
    const beyond = asked.scopes?.find((scope) => !fixed.scopes.includes(scope));
    if (beyond !== undefined) throw beyondRole("scopes", `the role does not have "${beyond}"`);
    return { scopes: asked.scopes ?? fixed.scopes };
  },
  isGrantWithin: (inner, outer) => inner.scopes.every((scope) => outer.scopes.includes(scope)),
});
