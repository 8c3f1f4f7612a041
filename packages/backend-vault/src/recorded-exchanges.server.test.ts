import { requireOrExplain } from "@mayfly/embedded";
import { expect, test } from "vitest";
import { startFakeVault } from "./testing/fake-vault.ts";
import { EXCHANGES, exchange } from "./testing/recorded-exchanges.ts";
import { startRealVault, type VaultServer } from "./testing/vault-server.ts";
import { prepareVault } from "./testing/vault-upstream.ts";

const program = await requireOrExplain("openbao");

/** Of OpenBao 2.6.2, 29 November 2026, those of secret ids a day later. */
const RECORDED = [
  "no role of the name: 404",
  "a token by no role: 400 unknown role",
  "a role that makes no token: 204",
  "a token by it: 400 disallowed",
  "a role: 204",
  "the role: 200 path_suffix",
  "no token below its name: 404",
  "a token of more policies: 400 subset",
  "a token by both: 400 disallowed",
  "delete the role: 204",
  "the role alone: 204",
  "a token: 200",
  "a token below its name: 200 keys",
  "revoke what nobody has: 200",
  "revoke by prefix: 204",
  "nothing is left below it: 404",
  "revoke by prefix again: 204",
  "delete the role: 204",
  "delete it again: 204",
  "look for no lease: 400 invalid lease",
  "revoke no lease: 204",
  "a secret id of one's own of an AppRole: 200 secret_id",
  "a secret id of one's own of it again: 500 already registered",
  "look for a secret id: 200 metadata",
  "destroy a secret id: 204",
  "destroy again a secret id: 204",
  "look in vain for a secret id: 204",
  "log in by one that was destroyed: 400 invalid role",
  "unwrap with what wraps nothing: 400 not valid",
  "what was given up: 200 leases",
];

async function answersOf(server: VaultServer): Promise<readonly string[]> {
  await prepareVault(server);
  const answers: string[] = [];
  for (const one of EXCHANGES) answers.push(`${one.what}: ${await exchange(server, one)}`);
  return answers;
}

test("the fake answers what was recorded from OpenBao", async () => {
  const server = await startFakeVault();
  server.logins.appRole = { roleId: "mayfly", secretIds: new Map() };
  try {
    expect(await answersOf(server)).toEqual(RECORDED);
  } finally {
    await server.stop();
  }
});

test.runIf(program !== undefined)("OpenBao answers what was recorded from it", async () => {
  const server = await startRealVault();
  await server.api("POST", "sys/auth/approle", { type: "approle" });
  await server.api("POST", "auth/approle/role/mayfly", { role_id: "mayfly" });
  try {
    expect(await answersOf(server)).toEqual(RECORDED);
  } finally {
    await server.stop();
  }
});
