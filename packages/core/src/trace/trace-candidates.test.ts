import { parseId, parseInstallationId, shortLeaseName } from "@mayfly/spec";
import { describe, expect, test } from "vitest";
import { TRACE_CHARACTERS_MAX, TRACE_SECRETS_MAX, traceCandidates } from "./trace-candidates.ts";

const HEX = `0199aabbccdd7eee8${"0".repeat(15)}`;

describe("what a leaked text may hold", () => {
  test.for([
    ["hunter2-hunter2", "hunter2-hunter2"],
    ["  hunter2-hunter2\r\n", "hunter2-hunter2"],
    ["PGPASSWORD=hunter2-hunter2 psql", "hunter2-hunter2"],
    ["postgresql://mf_x:hunter2-hunter2@db:5432/x?sslmode=require", "hunter2-hunter2"],
    ["postgres://u:p%40ss%2Fword%3A1@db/x", "p@ss/word:1"],
  ] as const)("%j holds %j", ([text, secret]) => {
    expect(traceCandidates(text).secrets).toContain(secret);
  });

  test("names are found as ids and as what was made after them", () => {
    expect(traceCandidates(`x lease_${HEX}, mf_k3x7abcd_${HEX}`).leaseIds).toEqual([
      `lease_${HEX}`,
    ]);
    expect(traceCandidates(`jti ${HEX}.${"a".repeat(22)}`).taskIds).toEqual([`task_${HEX}`]);
    const payload = Buffer.from(JSON.stringify({ sub: "x", task: `task_${HEX}` }));
    const header = Buffer.from('{"alg":"ES256"}').toString("base64url");
    const token = `${header}.${payload.toString("base64url")}.c2lnbmF0dXJl`;
    expect(traceCandidates(`Bearer ${token}`).taskIds).toEqual([`task_${HEX}`]);
    expect(traceCandidates("lease_zz, task_1, mf_1_2").leaseIds).toEqual([]);
  });

  test("a name of 32 characters is found as the lease that it was made for", () => {
    const id = parseId("lease", "lease_0199f3c0a1b27c3d8e4f5a6b7c8d9e0f", "lease");
    const name = shortLeaseName(parseInstallationId("k3x7abcd", "installation"), id);
    const url = `mysql://${name}:hunter2-hunter2@db:3306/orders`;
    expect(traceCandidates(`${name}@%, ${url}`).leaseIds).toEqual([id]);
    expect(traceCandidates(`${name}x, x${name.slice(1)}`).leaseIds).toEqual([]);
  });

  test.for([
    "eyJ".repeat(30_000),
    "eyJ.".repeat(20_000),
    `${"0".repeat(32)}.`.repeat(2_000),
    "mf_".repeat(30_000),
    "%41".repeat(30_000),
    "%".repeat(65_536),
    "\"'`".repeat(20_000),
    "a:b@c/".repeat(11_000),
  ])("a hostile text is looked through at once, and so much of it is tried", (text) => {
    // Of this process's own CPU: how busy the machine is besides is no matter of the text's.
    const began = process.cpuUsage();
    const { secrets, leaseIds, taskIds } = traceCandidates(text);
    const { user, system } = process.cpuUsage(began);
    expect(user + system).toBeLessThan(1_000_000);
    expect(secrets.length).toBeLessThanOrEqual(TRACE_SECRETS_MAX);
    expect(leaseIds.length + taskIds.length).toBeLessThanOrEqual(100);
  });

  test("what is longer than is looked at is told", () => {
    expect(traceCandidates("x".repeat(TRACE_CHARACTERS_MAX + 1)).truncated).toBe(true);
    expect(traceCandidates("x".repeat(100)).truncated).toBe(false);
  });
});
