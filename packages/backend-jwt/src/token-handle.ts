import { z } from "zod";
import { parseStrict, readLeaseName } from "@mayfly/backend-kit";
import { BrokerError, instantMs, Secret, type InstantMs, type LeaseId } from "@mayfly/spec";

/** What revoke and probe need of a token. The token itself is not in it. */
export interface TokenHandle {
  readonly leaseId: LeaseId;
  /** Its `exp`. */
  readonly expiresAt: InstantMs;
  /** Of its verifiers, when it was made. */
  readonly leewaySeconds: number;
}

const schema = z.strictObject({
  name: z.string(),
  exp: z.int().min(0).describe("Seconds since the epoch."),
  leeway: z.int().min(0),
});

export const writeHandle = (handle: z.infer<typeof schema>): Secret =>
  Secret.of(JSON.stringify(handle));

export function readHandle(handle: Secret): TokenHandle {
  const stored: unknown = JSON.parse(handle.expose("upstream"));
  const { name, exp, leeway } = parseStrict(schema, stored, "handle");
  const lease = readLeaseName(name);
  if (lease === null) throw new BrokerError("internal", "a stored handle names no lease");
  return {
    leaseId: lease.leaseId,
    expiresAt: instantMs(exp * 1000),
    leewaySeconds: leeway,
  };
}
