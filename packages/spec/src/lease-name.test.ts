import { expect, test } from "vitest";
import { parseId, parseInstallationId } from "./ids.ts";
import {
  LEASE_NAME_PATTERN,
  SHORT_LEASE_NAME_PATTERN,
  leaseName,
  readLeaseName,
  readShortLeaseName,
  shortLeaseName,
} from "./lease-name.ts";

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

test("a short name says the same in 32 characters, for the least and the greatest id too", () => {
  for (const hex of [
    "0199f3c0a1b27c3d8e4f5a6b7c8d9e0f",
    "00000000000070008000000000000000",
    "ffffffffffff7fffbfffffffffffffff",
  ]) {
    const id = parseId("lease", `lease_${hex}`, "leaseId");
    const name = shortLeaseName(installation, id);
    expect(name).toHaveLength(32);
    expect(name).toMatch(new RegExp(SHORT_LEASE_NAME_PATTERN));
    expect(readShortLeaseName(name)).toEqual({ installation, leaseId: id });
    expect(readLeaseName(name)).toBeNull();
  }
});

test("a short name of more bits than an id has, or of another form, is nobody's", () => {
  const name = shortLeaseName(installation, leaseId);
  for (const other of [`${name}A`, name.slice(0, -1), `mf_abcdef23${"_".repeat(21)}`]) {
    expect(readShortLeaseName(other), other).toBeNull();
  }
});
