import type { KeyObject } from "node:crypto";
import { KeyUsageFlags, anyExtendedKeyUsage } from "@peculiar/asn1-x509";
import type { InstantMs } from "@mayfly/spec";
import { Refusal } from "../refusal.ts";
import type { Certificate } from "./certificate.ts";
import { checkNames } from "./name-constraints.ts";
import { PURPOSES, type Purpose } from "./purpose.ts";

export interface PathRules {
  /** The authorities of one trust domain, and of no other. */
  readonly anchors: readonly Certificate[];
  readonly now: InstantMs;
  /** For `notBefore` alone: what has expired has expired. */
  readonly skewSeconds: number;
  readonly purpose: Purpose;
}
/** From the leaf to the anchor that ended it. */
export type CertificationPath = readonly [Certificate, ...Certificate[]];

/** Signatures that one presented chain may make us check. */
const SIGNATURES_MAX = 32;
const RSA_BITS_MIN = 2048;
/** Verifying with a huge modulus or exponent is work that a stranger could make us do. */
const RSA_BITS_MAX = 8192;
const RSA_EXPONENT_MAX = 2n ** 32n;
const CURVES: ReadonlySet<string | undefined> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/** SHA-1 and MD5 are forged; what is not named here does not count. */
const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.1.11", // sha256WithRSAEncryption
  "1.2.840.113549.1.1.12", // sha384WithRSAEncryption
  "1.2.840.113549.1.1.13", // sha512WithRSAEncryption
  "1.2.840.113549.1.1.10", // RSASSA-PSS
  "1.2.840.10045.4.3.2", // ecdsa-with-SHA256
  "1.2.840.10045.4.3.3", // ecdsa-with-SHA384
  "1.2.840.10045.4.3.4", // ecdsa-with-SHA512
  "1.3.101.112", // Ed25519
]);

/**
 * A path from the leaf over the other certificates that were presented, in any order, to an anchor
 * (RFC 5280 section 6). The one that is found obeys all rules; where none is, throws a Refusal of
 * the first that failed nearest to the leaf.
 */
export function findPath(
  leaf: Certificate,
  others: readonly Certificate[],
  rules: PathRules,
): CertificationPath {
  const search: Search = { rules, left: SIGNATURES_MAX, why: null };
  checkTimes(leaf, rules);
  const path = extend([leaf], others, search);
  if (path !== null) return path;
  throw search.why ?? new Refusal("path", "the chain ends in no authority of the trust domain");
}

interface Search {
  readonly rules: PathRules;
  left: number;
  why: Refusal | null;
}

function extend(
  path: CertificationPath,
  others: readonly Certificate[],
  search: Search,
): CertificationPath | null {
  for (const anchor of search.rules.anchors) {
    if (mayIssue(anchor, path, search)) return [...path, anchor];
  }
  for (const other of others) {
    if (!mayIssue(other, path, search)) continue;
    const rest = others.filter((each) => each !== other);
    const found = extend([...path, other], rest, search);
    if (found !== null) return found;
  }
  return null;
}

/** Whether the path may go on with this issuer; a rule that it breaks is kept as the reason. */
function mayIssue(issuer: Certificate, path: CertificationPath, search: Search): boolean {
  const subject = path.at(-1) ?? path[0];
  if (!isIssuedBy(subject, issuer)) return false;
  try {
    checkIssuer(issuer, path, search.rules);
    checkSignature(subject, issuer.publicKey, search);
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    search.why ??= error;
    return false;
  }
}

/** RFC 5280 sections 6.1.3 and 6.1.4, of one authority and all that stands below it. */
function checkIssuer(issuer: Certificate, path: CertificationPath, rules: PathRules): void {
  checkTimes(issuer, rules);
  if (!issuer.isAuthority) throw new Refusal("path", "a certificate was issued by no authority");
  const { pathLengthMax, nameConstraints } = issuer;
  if (!mayCertify(issuer, rules.purpose)) {
    throw new Refusal("path", `an authority may not certify ${rules.purpose}s`);
  }
  // Without the leaf. One that issued itself counts too: stricter than section 6.1.4 (l).
  if (pathLengthMax !== null && path.length - 1 > pathLengthMax) {
    throw new Refusal("path", "there are more authorities below one than it allows");
  }
  if (nameConstraints !== null) for (const each of path) checkNames(each, nameConstraints);
}

/** Whether an authority may sign certificates, and of this purpose. */
export function mayCertify(
  { keyUsage, extendedKeyUsage }: Pick<Certificate, "keyUsage" | "extendedKeyUsage">,
  purpose: Purpose,
): boolean {
  const wanted = PURPOSES[purpose];
  const purposes = extendedKeyUsage ?? [wanted];
  return (
    (keyUsage === null || (keyUsage & KeyUsageFlags.keyCertSign) !== 0) &&
    (purposes.includes(wanted) || purposes.includes(anyExtendedKeyUsage))
  );
}

function checkTimes({ notBefore, notAfter }: Certificate, { now, skewSeconds }: PathRules): void {
  if (now > notAfter) {
    throw new Refusal("time", "a certificate has expired");
  }
  if (now < notBefore - skewSeconds * 1000) {
    throw new Refusal("time", "a certificate is not valid yet");
  }
}

function checkSignature(subject: Certificate, key: KeyObject, search: Search): void {
  if (!SIGNATURE_ALGORITHMS.has(subject.signatureAlgorithm)) {
    throw new Refusal("algorithm", "a certificate is signed with an algorithm that does not count");
  }
  if (!isStrongKey(key) || !isStrongKey(subject.publicKey)) {
    throw new Refusal("algorithm", "the key of a certificate is of a kind that does not count");
  }
  if (search.left === 0) {
    throw new Refusal("too_large", `a chain takes more than ${SIGNATURES_MAX} signature checks`);
  }
  search.left -= 1;
  if (!verifies(subject, key)) {
    throw new Refusal("signature", "the signature of a certificate does not verify");
  }
}

/** Whose names and key ids fit: what two certificates say is the same at each look. */
const issuers = new WeakMap<Certificate, WeakMap<Certificate, boolean>>();

function isIssuedBy(subject: Certificate, issuer: Certificate): boolean {
  const looked = issuers.get(subject) ?? new WeakMap<Certificate, boolean>();
  const before = looked.get(issuer);
  if (before !== undefined) return before;
  const isIssued = subject.x509.checkIssued(issuer.x509);
  issuers.set(subject, looked.set(issuer, isIssued));
  return isIssued;
}

/** Signatures that verified, for as long as certificate and key are remembered elsewhere. */
const verified = new WeakMap<Certificate, WeakSet<KeyObject>>();

function verifies(subject: Certificate, key: KeyObject): boolean {
  const keys = verified.get(subject) ?? new WeakSet();
  if (keys.has(key)) return true;
  if (!subject.x509.verify(key)) return false;
  verified.set(subject, keys.add(key));
  return true;
}

export function isStrongKey(key: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "rsa":
      return (
        modulusLength >= RSA_BITS_MIN &&
        modulusLength <= RSA_BITS_MAX &&
        publicExponent >= 3n &&
        publicExponent <= RSA_EXPONENT_MAX
      );
    case "ec":
      return CURVES.has(namedCurve);
    case "ed25519":
      return true;
    default:
      return false;
  }
}
