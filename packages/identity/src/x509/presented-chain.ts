import { createHash } from "node:crypto";
import { Refusal } from "../refusal.ts";
import { parseCertificate, type Certificate } from "./certificate.ts";

/** A chain taken apart. Nothing of it is verified. */
export interface PresentedChain {
  readonly leaf: Certificate;
  /** What came with it, in the order that it came in. */
  readonly others: readonly Certificate[];
  /** Hex, of the leaf's DER. */
  readonly leafSha256: string;
  /** Hex, of all of it. */
  readonly sha256: string;
}

/** SPIRE sends two or three. */
export const CHAIN_CERTIFICATES_MAX = 8;

/** DER certificates, leaf first. Throws a Refusal. */
export function parsePresentedChain(chain: readonly Uint8Array[]): PresentedChain {
  if (chain.length > CHAIN_CERTIFICATES_MAX) {
    throw new Refusal(
      "too_large",
      `the chain has more than ${CHAIN_CERTIFICATES_MAX} certificates`,
    );
  }
  const [leaf, ...others] = chain.map(parseCertificate);
  if (leaf === undefined) throw new Refusal("malformed", "no certificate was presented");
  const whole = createHash("sha256");
  for (const der of chain) whole.update(createHash("sha256").update(der).digest());
  return {
    leaf,
    others,
    leafSha256: createHash("sha256").update(leaf.x509.raw).digest("hex"),
    sha256: whole.digest("hex"),
  };
}
