import { expect, test } from "vitest";
import { PASSWORD_ROTATION } from "./secret-rotation.ts";

const AT = { host: "db.test", port: 5432 };
const OWN = { ...AT, username: "mayfly", password: "canary" };

test.each([
  ["another database of the server", OWN, "sys-1/billing", true],
  ["the server by another name", { ...OWN, host: "10.0.0.1" }, "sys-1/orders", true],
  [
    "the secret before, while it is replaced",
    { ...OWN, password: "next", previous_password: "canary" },
    "sys-1/billing",
    true,
  ],
  ["a node of several", { ...OWN, host: undefined, nodes: [AT] }, "nodes", true],
  ["another user", { ...OWN, username: "other" }, "sys-1/orders", false],
  ["another password", { ...OWN, password: "other" }, "sys-1/orders", false],
  ["the same password at another server", { ...OWN, port: 5433 }, "sys-2/orders", false],
] as const)("a login is another backend's where it is %s: %#", (_, other, identity, isShared) => {
  const config = JSON.parse(JSON.stringify(other)) as typeof OWN;
  const own = { config: OWN, upstreamIdentity: "sys-1/orders" };
  const shares = PASSWORD_ROTATION.sharesLogin(own, { config, upstreamIdentity: identity });
  expect(shares).toBe(isShared);
});
