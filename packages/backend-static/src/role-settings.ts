import { leaseRules } from "@mayfly/backend-kit";
import { z } from "zod";

/** What a policy has to accept by its word: `@accepts("secret_outlives_the_lease")`. */
const RISK = "secret_outlives_the_lease";

const grant = z.strictObject({ risk: z.literal(RISK) });

/** There is nothing to narrow: whoever has the secret has all of it. */
export const leases = leaseRules({
  role: z.strictObject({
    hands_out_a_secret_that_cannot_be_revoked: z
      .literal(true)
      .describe("Has to be written out: whoever gets it can use it until somebody replaces it."),
  }),
  params: z.strictObject({}),
  grant,
  grantFor: (): z.infer<typeof grant> => ({ risk: RISK }),
  isGrantWithin: () => true,
});
