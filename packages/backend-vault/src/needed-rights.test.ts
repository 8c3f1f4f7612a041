import { readFileSync } from "node:fs";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import { expect, test } from "vitest";
import { asPolicy, neededRights } from "./needed-rights.ts";
import { leases, needsOfRole } from "./role-settings.ts";

const page = readFileSync(new URL("../../../docs/backends/vault.md", import.meta.url), "utf8");

test("the policy of the type's page is what the self-check asks for, for the page's roles", () => {
  const host = createTestBackendHost({
    clock: createFakeClock(),
    random: seededRandom(1),
    log: createRecordingLog(),
    installation: "abcdefgh",
  });
  const roles = [
    { dynamic: { path: "database/creds/reader", policies: ["db-reader"], secret: "password" } },
    {
      unleased: {
        path: "pki/issue/agents",
        method: "write",
        policies: ["pki-agents"],
        secret: "private_key",
        ttl_parameter: "ttl",
        revoke_path: "pki/revoke",
      },
    },
  ].map((role) => needsOfRole(leases.parseRole(role)));
  const [, shown] = /```hcl\n([\s\S]*?)```/.exec(page) ?? [];
  expect(shown).toBe(asPolicy(neededRights(host, roles)));
});
