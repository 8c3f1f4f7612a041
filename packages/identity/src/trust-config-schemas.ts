import { z } from "zod";
import type { JsonSchema, TrustRoot } from "@mayfly/spec";
import { oidcConfigSchema } from "./oidc-config.ts";
import { spiffeConfigSchema } from "./spiffe-config.ts";
import { x509ConfigSchema } from "./x509-config.ts";

const plain = z.record(z.string(), z.json());
const schemaOf = (type: z.ZodType): JsonSchema =>
  plain.parse(z.toJSONSchema(type, { io: "input" }));

/** The `config` of a trust root as a platform team writes it, from the schemas that parse it. */
export const TRUST_CONFIG_SCHEMAS: Readonly<Record<TrustRoot["kind"], JsonSchema>> = {
  oidc: schemaOf(oidcConfigSchema),
  spiffe: schemaOf(spiffeConfigSchema),
  x509: schemaOf(x509ConfigSchema),
};
