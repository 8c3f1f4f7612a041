import { isDeepStrictEqual } from "node:util";
import { beyondRole, leaseRules } from "@mayfly/backend-kit";
import { z } from "zod";
import { mintGrant, type MintGrant } from "./minter-protocol.ts";

const NAME = /^[a-z][a-z0-9_]{0,63}$/;
const name = z.string().regex(NAME, "expected a name: lowercase letters, digits, _");
const values = z
  .array(z.string().min(1).max(256))
  .min(1)
  .max(64)
  .transform((list) => [...new Set(list)].toSorted());
const few = (members: object): boolean => Object.keys(members).length <= 32;
const lists = z.record(name, values).refine(few, { message: "expected at most 32 members" });

const role = z.strictObject({
  fixed: z
    .record(name, z.union([z.string().max(1_024), z.number(), z.boolean()]))
    .refine(few, { message: "expected at most 32 members" })
    .default({})
    .describe("What the minter is told with each mint, as it stands."),
  allowed: lists
    .default({})
    .describe("Lists by name, such as `scopes`; a request may choose fewer values of each."),
});
const params = z.strictObject({
  allowed: lists.default({}).describe("Fewer values of lists that the role has."),
});

/** Which of the role's values the minter is asked for; what one means is the minter's affair. */
export const leases = leaseRules({
  role,
  params,
  grant: mintGrant,
  grantFor: (fixed, asked): MintGrant => {
    for (const [list, chosen] of Object.entries(asked.allowed)) {
      const most = Object.hasOwn(fixed.allowed, list) ? (fixed.allowed[list] ?? []) : [];
      const beyond = chosen.find((value) => !most.includes(value));
      if (beyond !== undefined) {
        throw beyondRole(`allowed.${list}`, `the role does not have "${beyond}"`);
      }
    }
    return { fixed: fixed.fixed, allowed: { ...fixed.allowed, ...asked.allowed } };
  },
  isGrantWithin: (inner, outer) =>
    isDeepStrictEqual(inner.fixed, outer.fixed) &&
    isDeepStrictEqual(
      Object.keys(inner.allowed).toSorted(),
      Object.keys(outer.allowed).toSorted(),
    ) &&
    Object.entries(inner.allowed).every(([list, chosen]) =>
      chosen.every((value) => outer.allowed[list]?.includes(value)),
    ),
});
