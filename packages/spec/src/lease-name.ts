import { parseId, type InstallationId, type LeaseId } from "./ids.ts";

/**
 * How what is made for a lease is named: 44 characters that say which installation and which
 * lease, so that it can be found when nobody recorded it. A name alone proves nothing, since
 * others can choose it: what is made bears a tag of `BackendHost` as well.
 */
export const leaseName = (installation: InstallationId, leaseId: LeaseId): string =>
  `mf_${installation}_${leaseId.slice("lease_".length)}`;

/** The same as a pattern, for listing; it has the same meaning in POSIX, PCRE and JavaScript. */
export const LEASE_NAME_PATTERN = "^mf_[a-z2-7]{8}_[0-9a-f]{32}$";
const LEASE_NAME = /^mf_([a-z2-7]{8})_([0-9a-f]{32})$/;

/** Null for a name of any other form. */
export function readLeaseName(
  name: string,
): { readonly installation: string; readonly leaseId: LeaseId } | null {
  const [, installation, hex] = LEASE_NAME.exec(name) ?? [];
  if (installation === undefined || hex === undefined) return null;
  try {
    return { installation, leaseId: parseId("lease", `lease_${hex}`, "name") };
  } catch {
    return null;
  }
}

/**
 * The same in 32 characters, for what allows no more (an account of MySQL): the 122 bits of the
 * lease's id that are not the same in all of them, in base64url (RFC 4648 section 5). Upper and
 * lower case differ.
 */
export function shortLeaseName(installation: InstallationId, leaseId: LeaseId): string {
  const id = BigInt(`0x${leaseId.slice("lease_".length)}`);
  const time = id >> 80n;
  const middle = (id >> 64n) & 0xfffn;
  const end = id & ((1n << 62n) - 1n);
  const bits = (time << 74n) | (middle << 62n) | end;
  const digits = Array.from({ length: SHORT_DIGITS }, (_, nth) => {
    const shift = BigInt(6 * (SHORT_DIGITS - 1 - nth));
    return BASE64URL.charAt(Number((bits >> shift) & 63n));
  });
  return `mf_${installation}${digits.join("")}`;
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SHORT_DIGITS = 21;
export const SHORT_LEASE_NAME_PATTERN = "^mf_[a-z2-7]{8}[A-Za-z0-9_-]{21}$";
const SHORT_LEASE_NAME = /^mf_([a-z2-7]{8})([A-Za-z0-9_-]{21})$/;

/** Null for a name of any other form. */
export function readShortLeaseName(name: string): ReturnType<typeof readLeaseName> {
  const [, installation, digits] = SHORT_LEASE_NAME.exec(name) ?? [];
  if (installation === undefined || digits === undefined) return null;
  const bits = Array.from(digits).reduce(
    (sum, digit) => (sum << 6n) | BigInt(BASE64URL.indexOf(digit)),
    0n,
  );
  if (bits >> 122n !== 0n) return null;
  const middle = (bits >> 62n) & 0xfffn;
  const end = bits & ((1n << 62n) - 1n);
  // RFC 9562 section 5.7: version 7, variant 0b10.
  const id = ((bits >> 74n) << 80n) | (0x7n << 76n) | (middle << 64n) | (0b10n << 62n) | end;
  const hex = id.toString(16).padStart(32, "0");
  try {
    return { installation, leaseId: parseId("lease", `lease_${hex}`, "name") };
  } catch {
    return null;
  }
}
