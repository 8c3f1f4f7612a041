import { parseId, type InstallationId, type LeaseId } from "@mayfly/spec";

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
