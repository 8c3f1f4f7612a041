import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import ssh2 from "ssh2";
import { hostSettings } from "./host-settings.ts";
import { parseParams } from "./role-settings.ts";
import { wireString } from "./ssh-wire.ts";

type Bytes = Uint8Array | string;
const line = (type: string, ...parts: readonly Bytes[]): string =>
  `${type} ${Buffer.concat([type, ...parts].map(wireString)).toString("base64")}`;
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const { n = "" } = generateKeyPairSync("rsa", { modulusLength: 2_048 }).publicKey.export({
  format: "jwk",
});
const modulus = Buffer.concat([bytes(0), Buffer.from(n, "base64url")]);
const NISTP256 = "ecdsa-sha2-nistp256";
const { public: ecdsa } = ssh2.utils.generateKeyPairSync("ecdsa", { bits: 256 });
const point = Buffer.from(ecdsa.split(" ")[1] ?? "", "base64").subarray(-65);

const unsound: Readonly<Record<string, string>> = {
  "without a modulus": line("ssh-rsa", bytes(1, 0, 1), ""),
  "without a point": line(NISTP256, "nistp256", ""),
  "with a point off its curve": line(
    NISTP256,
    "nistp256",
    Buffer.concat([bytes(4), Buffer.alloc(64, 7)]),
  ),
  "that is a certificate": line(`${NISTP256}-cert-v01@openssh.com`, "nonce", "nistp256", point),
};

test.each(Object.entries(unsound))("a key %s is no key of a workload, nor a host's", (_, key) => {
  expect(() => parseParams({ public_key: key })).toThrow(/public_key: expected a public key/);
  const hosts = [{ host: "web-1.acme.test", host_key: key }];
  expect(() => hostSettings({ hosts, private_key: "none" })).toThrow(
    /host_key: expected a public key/,
  );
});

test("an RSA key of a workload has an odd exponent above 65,536", () => {
  for (const exponent of [bytes(1), bytes(3), bytes(1, 0, 2)]) {
    const public_key = line("ssh-rsa", exponent, modulus);
    expect(() => parseParams({ public_key })).toThrow(/public_key: expected a public key/);
  }
  const public_key = line("ssh-rsa", bytes(1, 0, 1), modulus);
  expect(parseParams({ public_key })).toEqual({ public_key });
});
