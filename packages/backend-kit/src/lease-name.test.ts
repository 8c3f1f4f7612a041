import { parseId, parseInstallationId } from "@mayfly/spec";
import { expect, test } from "vitest";
import { LEASE_NAME_PATTERN, leaseName, readLeaseName } from "./lease-name.ts";

const installation = parseInstallationId("abcdef23", "installation");
const leaseId = parseId("lease", "lease_0199f3c0a1b27c3d8e4f5a6b7c8d9e0f", "leaseId");

test("a lease's name says which installation and lease it is of", () => {
  const name = leaseName(installation, leaseId);
  expect(name).toMatch(new RegExp(LEASE_NAME_PATTERN));
  expect(readLeaseName(name)).toEqual({ installation, leaseId });
});

test("a name of another form, or of no lease's id, is nobody's", () => {
  const name = leaseName(installation, leaseId);
  for (const other of [
    `${name}0`,
    `x${name}`,
    name.toUpperCase(),
    `mf_abcdef23_${"f".repeat(32)}`,
  ]) {
    expect(readLeaseName(other), other).toBeNull();
  }
});
