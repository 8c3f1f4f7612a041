import { keptDocuments } from "@mayfly/backend-kit";
import type { AuthorityDocument, PublishedAuthority } from "@mayfly/spec";
import {
  authorityCertificate,
  authorityId,
  authorityOf,
  type CertificateAuthority,
} from "./certificate-authority.ts";
import { pem } from "./extensions.ts";
import { encodeEntries, type ListedEntries } from "./listed-entries.ts";
import type { Lane } from "./lane.ts";
import { revocationList } from "./revocation-list.ts";

/** Of one authority, in DER: what its certificates point at (RFC 5280 section 4.2.1.13). */
export const listName = (id: string): string => `${id}.crl`;
const LIST_NAME = /^[0-9a-f]{40}\.crl$/;

/** All that servers fetch: whom to trust, and whom no more. */
export function publishAuthority(lane: Lane): PublishedAuthority {
  const { host, settings } = lane;
  const { keys } = host.tokens;
  const authorities = async (): Promise<readonly CertificateAuthority[]> =>
    (await keys.authorities()).map((key) => authorityOf(host, key));
  const each = async (
    label: "CERTIFICATE" | "X509 CRL",
    write: (authority: CertificateAuthority) => Promise<Uint8Array>,
  ): Promise<AuthorityDocument> => {
    const written = await Promise.all((await authorities()).map(write));
    const text = written.map((der) => pem(label, der)).join("");
    return { mediaType: "application/x-pem-file", bytes: Buffer.from(text) };
  };
  // What a server misses while one is kept is a part of what its list counts for anyway.
  const freshMsMax = settings.crl_seconds * 100;
  const encode = encodeEntries(host.clock);
  const newest = keptDocuments(host.clock, async () => encode(await lane.ended.run()), freshMsMax);
  const listed = async (): Promise<ListedEntries> => {
    const entries = await newest("entries");
    if (entries === null) throw new Error("there is no reading");
    return entries;
  };
  return {
    document: keptDocuments(
      host.clock,
      async (name) => {
        if (name === "ca.pem") {
          return each("CERTIFICATE", (one) => authorityCertificate(one, settings.domains));
        }
        if (name === "crl.pem") {
          const entries = await listed();
          return each("X509 CRL", (authority) => revocationList(authority, entries, settings));
        }
        if (!LIST_NAME.test(name)) return null;
        const named = (await authorities()).find((one) => listName(authorityId(one)) === name);
        if (named === undefined) return null;
        const bytes = await revocationList(named, await listed(), settings);
        // RFC 2585 section 4.2.
        return { mediaType: "application/pkix-crl", bytes };
      },
      freshMsMax,
    ),
    rotate: (now) => keys.rotate(settings.algorithm, now),
  };
}
