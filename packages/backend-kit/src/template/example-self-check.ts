import { z } from "zod";
import type { CallContext, JsonObject, SelfCheck } from "@mayfly/spec";
import type { Place } from "./example-lease.ts";

const self = z.object({ identity: z.string(), now: z.number(), rights: z.array(z.string()) });

/** Every right that issue, revoke, recover and list need, with what mends its absence. */
const RIGHTS: Readonly<Record<string, string>> = {
  "accounts.write": "make and delete accounts",
  "accounts.read": "see which accounts there are",
};

export async function selfCheck(
  { api }: Place,
  _roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const sentAt = context.clock.now();
  const { body } = await api.call({ method: "GET", path: "/self", expect: [200] }, context);
  const { identity, now, rights } = self.parse(body);
  const problems = Object.entries(RIGHTS)
    .filter(([right]) => !rights.includes(right))
    .map(([right, whatFor]) => ({
      code: `no_${right.replace(".", "_")}`,
      what: `The broker's token lacks ${right}, so it cannot ${whatFor}.`,
      fix: `Give the broker's token the right ${right}.`,
    }));
  return { upstreamIdentity: identity, clockSkewMs: now - sentAt, facts: {}, problems };
}
