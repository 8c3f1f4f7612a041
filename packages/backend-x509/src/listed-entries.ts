import { AsnConvert } from "@peculiar/asn1-schema";
import { RevokedCertificate, Time } from "@peculiar/asn1-x509";
import type { Clock, EndedLease, EndedLeases, LeaseId } from "@mayfly/spec";
import { wholeSeconds } from "./certificate-authority.ts";
import { serialNumberOf } from "./client-certificate.ts";
import { exactly } from "./extensions.ts";

/** One reading, and its leases as entries of a list (RFC 5280 section 5.1.2.6), in DER. */
export interface ListedEntries {
  readonly ended: EndedLeases;
  readonly entries: Uint8Array;
}

/** Then others have their turn. */
const ENCODED_AT_ONCE = 100;

/**
 * Encodes each lease once, whichever lists have it and however often they are made: strangers have
 * them made, and each entry takes longer than all else that a list needs of it.
 */
export function encodeEntries(clock: Clock): (ended: EndedLeases) => Promise<ListedEntries> {
  let known: ReadonlyMap<LeaseId, Uint8Array> = new Map();
  return async (ended) => {
    const listed = new Map<LeaseId, Uint8Array>();
    let encoded = 0;
    for (const lease of ended.leases) {
      const entry = known.get(lease.leaseId) ?? listed.get(lease.leaseId);
      listed.set(lease.leaseId, entry ?? entryOf(lease));
      if (entry === undefined && ++encoded % ENCODED_AT_ONCE === 0) await clock.turn();
    }
    known = listed;
    return { ended, entries: Buffer.concat([...listed.values()]) };
  };
}

const entryOf = ({ leaseId, endedAt }: EndedLease): Uint8Array =>
  new Uint8Array(
    AsnConvert.serialize(
      new RevokedCertificate({
        userCertificate: exactly(serialNumberOf(leaseId)),
        revocationDate: new Time(new Date(wholeSeconds(endedAt))),
      }),
    ),
  );
