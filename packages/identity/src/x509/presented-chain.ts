import { hash, type X509Certificate } from "node:crypto";
import { Refusal } from "../refusal.ts";
import { parseSpiffeId } from "@mayfly/spec";
import { openCertificate } from "./certificate.ts";

/** A chain as OpenSSL sees it. Nothing of it is verified, and no extension of it is decoded. */
export interface PresentedChain {
  readonly leaf: PresentedCertificate;
  /** What came with it, in the order that it came in. */
  readonly others: readonly PresentedCertificate[];
  /**
   * The trust domain that the leaf seems to be of, or null. It says whose bundle is looked at, and
   * nothing more: what counts is the id that is decoded once the chain is known to be theirs.
   */
  readonly claimedTrustDomain: string | null;
}
export interface PresentedCertificate {
  readonly x509: X509Certificate;
  /** Hex, of its DER. */
  readonly sha256: string;
}

/** SPIRE sends two or three. */
export const CHAIN_CERTIFICATES_MAX = 8;

/**
 * Of a connection, whose chain is one array for as long as it lives: a workload that asks again
 * over it shows what it has shown before.
 */
const opened = new WeakMap<readonly Uint8Array[], PresentedChain>();

/** DER certificates, leaf first, which nobody writes to any more. Throws a Refusal. */
export function parsePresentedChain(chain: readonly Uint8Array[]): PresentedChain {
  const before = opened.get(chain);
  if (before !== undefined) return before;
  const presented = open(chain);
  opened.set(chain, presented);
  return presented;
}

function open(chain: readonly Uint8Array[]): PresentedChain {
  if (chain.length > CHAIN_CERTIFICATES_MAX) {
    throw new Refusal(
      "too_large",
      `the chain has more than ${CHAIN_CERTIFICATES_MAX} certificates`,
    );
  }
  const [leaf, ...others] = chain.map((der) => ({
    x509: openCertificate(der),
    sha256: hash("sha256", der, "hex"),
  }));
  if (leaf === undefined) throw new Refusal("malformed", "no certificate was presented");
  return { leaf, others, claimedTrustDomain: claimedBy(leaf.x509) };
}

/** A SPIFFE ID has 2,048 at most; what is longer names too much besides. */
const NAMES_CHARACTERS_MAX = 8192;
/** Of OpenSSL's text of one name: what holds anything that could part names is in quotes there. */
const NAME = /(?:"(?:[^"\\]|\\.)*"|[^",])+/g;

function claimedBy({ subjectAltName = "" }: X509Certificate): string | null {
  if (subjectAltName.length > NAMES_CHARACTERS_MAX) return null;
  const names = (subjectAltName.match(NAME) ?? []).map((name) => name.trim());
  const [uri, ...others] = names.filter((name) => name.startsWith("URI:"));
  if (uri === undefined || others.length > 0) return null;
  return parseSpiffeId(uri.slice("URI:".length))?.trustDomain ?? null;
}
