import { z } from "zod";
import { parseStrict, readLeaseName } from "@mayfly/backend-kit";
import { BrokerError, instantMs, Secret, type InstantMs, type LeaseId } from "@mayfly/spec";

/** What revoke and probe need of a certificate: it is public, and its key is not in it. */
export interface CertificateHandle {
  readonly leaseId: LeaseId;
  readonly keyId: string;
  readonly certificate: string;
  readonly expiresAt: InstantMs;
}

const schema = z.strictObject({
  name: z.string(),
  exp: z.int().min(0).describe("Seconds since the epoch."),
  certificate: z.string(),
});

export const writeHandle = (handle: z.infer<typeof schema>): Secret =>
  Secret.of(JSON.stringify(handle));

export function readHandle(handle: Secret): CertificateHandle {
  const stored: unknown = JSON.parse(handle.expose("upstream"));
  const { name, exp, certificate } = parseStrict(schema, stored, "handle");
  const lease = readLeaseName(name);
  if (lease === null) throw new BrokerError("internal", "a stored handle names no lease");
  return { leaseId: lease.leaseId, keyId: name, certificate, expiresAt: instantMs(exp * 1000) };
}
