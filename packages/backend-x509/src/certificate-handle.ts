import { z } from "zod";
import { parseStrict, readLeaseName } from "@mayfly/backend-kit";
import { BrokerError, instantMs, Secret, type InstantMs, type LeaseId } from "@mayfly/spec";

/** What revoke and probe need of a certificate. Neither it nor its key is in it. */
export interface CertificateHandle {
  readonly leaseId: LeaseId;
  /** Its `notAfter`. */
  readonly expiresAt: InstantMs;
  /** What was said of servers when it was made: they may follow later than a configuration. */
  readonly crlSeconds: number;
  readonly leewaySeconds: number;
  readonly connectionSeconds: number;
}

const schema = z.strictObject({
  name: z.string(),
  exp: z.int().min(0).describe("Seconds since the epoch."),
  crl: z.int().min(0),
  leeway: z.int().min(0),
  connection: z.int().min(0),
});

export const writeHandle = (handle: z.infer<typeof schema>): Secret =>
  Secret.of(JSON.stringify(handle));

export function readHandle(handle: Secret): CertificateHandle {
  const stored: unknown = JSON.parse(handle.expose("upstream"));
  const { name, exp, crl, leeway, connection } = parseStrict(schema, stored, "handle");
  const lease = readLeaseName(name);
  if (lease === null) throw new BrokerError("internal", "a stored handle names no lease");
  return {
    leaseId: lease.leaseId,
    expiresAt: instantMs(exp * 1000),
    crlSeconds: crl,
    leewaySeconds: leeway,
    connectionSeconds: connection,
  };
}
