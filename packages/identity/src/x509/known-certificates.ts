import type { KeyObject } from "node:crypto";
import { Refusal } from "../refusal.ts";
import { decodeCertificate, type Certificate } from "./certificate.ts";
import { isStrongKey } from "./find-path.ts";
import type { PresentedCertificate, PresentedChain } from "./presented-chain.ts";

/** A chain that authorities of a bundle have signed, decoded. */
export interface KnownChain {
  readonly leaf: Certificate;
  readonly others: readonly Certificate[];
}

/**
 * Decodes what the authorities of a trust domain have signed, and nothing else: to decode a
 * certificate costs some ten times what a signature costs, and one of 16 KiB a hundred times that,
 * which no stranger shall make us do. What was decoded is remembered by the hash of its bytes,
 * whose pure function it is; whether it counts is judged anew each time.
 */
export interface KnownCertificates {
  /**
   * Throws a Refusal: `path` or `signature` where no signature leads from the authorities to the
   * leaf. What it answers was signed by them or by others before: a path is still to be found.
   */
  decode(chain: PresentedChain, authorities: readonly Certificate[]): KnownChain;
}

/** About 20 KiB each. */
const CERTIFICATES_MAX = 2_000;
/** Signatures of one chain that are looked at, each by a key that is known. */
const LOOKS_MAX = 64;

export function createKnownCertificates(certificatesMax = CERTIFICATES_MAX): KnownCertificates {
  const known = new Map<string, Certificate>();
  const decoded = ({ x509, sha256 }: PresentedCertificate): Certificate => {
    const before = known.get(sha256);
    if (before !== undefined) return before;
    const certificate = decodeCertificate(x509);
    const oldest = known.size >= certificatesMax ? known.keys().next() : { done: true as const };
    if (oldest.done !== true) known.delete(oldest.value);
    known.set(sha256, certificate);
    return certificate;
  };
  return {
    decode: ({ leaf, others }, authorities) => {
      const isKnown = [leaf, ...others].every(({ sha256 }) => known.has(sha256));
      const signed = isKnown ? others : signedBy(authorities, leaf, others);
      return { leaf: decoded(leaf), others: signed.map(decoded) };
    },
  };
}

interface Signer {
  readonly x509: Certificate["x509"];
  readonly publicKey: KeyObject;
}

/**
 * Those of `others` that lead from an authority to the leaf, found from the authorities downwards:
 * so each signature is checked with a key that is known already, never with one that was brought
 * along.
 */
function signedBy(
  authorities: readonly Certificate[],
  leaf: PresentedCertificate,
  others: readonly PresentedCertificate[],
): readonly PresentedCertificate[] {
  const signers: Signer[] = [...authorities];
  const found: PresentedCertificate[] = [];
  let waiting = [leaf, ...others];
  let looks = 0;
  let isForged = false;
  for (const signer of signers) {
    const still: PresentedCertificate[] = [];
    for (const one of waiting) {
      if (!one.x509.checkIssued(signer.x509) || !isStrongKey(signer.publicKey)) {
        still.push(one);
      } else if ((looks += 1) > LOOKS_MAX) {
        throw new Refusal("too_large", `a chain takes more than ${LOOKS_MAX} looks at signatures`);
      } else if (one.x509.verify(signer.publicKey)) {
        found.push(one);
        // An array that grows while it is walked: who was signed may have signed the next.
        if (one !== leaf) signers.push({ x509: one.x509, publicKey: one.x509.publicKey });
      } else {
        isForged = true;
        still.push(one);
      }
    }
    waiting = still;
  }
  if (found.includes(leaf)) return found.filter((one) => one !== leaf);
  throw isForged
    ? new Refusal("signature", "the signature of a certificate does not verify")
    : new Refusal("path", "the chain ends in no authority of the trust domain");
}
