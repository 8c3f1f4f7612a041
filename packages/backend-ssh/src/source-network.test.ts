import { expect, test } from "vitest";
import { sourceNetwork } from "./source-network.ts";

/** As `ssh-keygen` of OpenSSH 9.2 says, but for `10.0.0` and IPv4-mapped addresses. */
test.each([
  ["10.1.0.0/16", true],
  ["10.1.2.3", true],
  ["10.1.2.3/32", true],
  ["0.0.0.0/0", true],
  ["2001:db8::/32", true],
  ["::1", true],
  ["::/0", true],
  ["fd00:0:0:1::/64", true],
  ["1:2:3:4:5:6:7:8/128", true],
  ["10.1.2.3/16", false],
  ["10.0.0.1/0", false],
  ["::1/64", false],
  ["2001:db8::/31", true],
  ["2001:db9::/31", false],
  ["1:2:3:4:5:6:7:8/127", true],
  ["1:2:3:4:5:6:7:9/127", false],
  ["10.0.0.0/33", false],
  ["::/129", false],
  ["10.0.0.0/", false],
  ["10.0.0.0/8/8", false],
  ["10.0.0.0/ 8", false],
  ["10.0.0", false],
  ["10.0.0.1,10.0.0.2", false],
  ["!10.0.0.1", false],
  ["fe80::1%eth0", false],
  ["::ffff:10.0.0.1", false],
  ["::ffff:a00:0/104", false],
  ["*", false],
])("%s is a source of logins: %s", (text, isOne) => {
  expect(sourceNetwork().safeParse(text).success).toBe(isOne);
});
