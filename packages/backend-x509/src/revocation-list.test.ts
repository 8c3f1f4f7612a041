import { generateKeyPairSync, sign, verify } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { CertificateList } from "@peculiar/asn1-x509";
import { expect, test } from "vitest";
import { idFromUuid, plusSeconds, type AuthorityKey } from "@mayfly/spec";
import {
  createFakeClock,
  createTestBackendHost,
  createRecordingLog,
  seededRandom,
} from "@mayfly/testkit";
import { authoritySettings, parseConfig } from "./authority-settings.ts";
import { authorityOf } from "./certificate-authority.ts";
import { encodeEntries } from "./listed-entries.ts";
import { revocationList } from "./revocation-list.ts";

const clock = createFakeClock();
const settings = authoritySettings(parseConfig({ domains: ["acme.test"] }));
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const key: AuthorityKey = {
  kid: "key",
  algorithm: "EdDSA",
  publicJwk: { kty: "OKP", crv: "Ed25519", x: publicKey.export({ format: "jwk" }).x ?? "" },
  createdAt: clock.now(),
  signsFromAt: clock.now(),
  sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey),
};
const authority = authorityOf(
  createTestBackendHost({ clock, random: seededRandom("list"), log: createRecordingLog() }),
  key,
);
const leases = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    leaseId: idFromUuid("lease", `018c0000-0000-7000-8000-${at.toString(16).padStart(12, "0")}`),
    endedAt: clock.now(),
    expiresAt: plusSeconds(clock.now(), 300),
  }));

test("a list of any length is the one that an encoder of the whole would write, and is signed", async () => {
  const encode = encodeEntries(clock);
  for (const count of [0, 1, 3, 150, 1_500]) {
    const reading = { number: count + 1, readAt: clock.now(), leases: leases(count) };
    const der = await revocationList(authority, await encode(reading), settings);
    const list = AsnConvert.parse(der, CertificateList);
    expect(list.tbsCertList.revokedCertificates?.length ?? 0).toBe(count);
    expect(Buffer.from(AsnConvert.serialize(list)).equals(der)).toBe(true);
    const signed = Buffer.from(AsnConvert.serialize(list.tbsCertList));
    expect(verify(null, signed, publicKey, Buffer.from(list.signature))).toBe(true);
  }
});

test("what was listed before is not encoded again, and what is listed no more is forgotten", async () => {
  const encode = encodeEntries(clock);
  const of = (count: number) => ({ number: 1, readAt: clock.now(), leases: leases(count) });
  let turns = 0;
  const turn = async (): Promise<void> => {
    turns += 1;
  };
  const counting = encodeEntries({ ...clock, turn });
  await counting(of(1_000));
  expect(turns).toBe(10);
  const { entries } = await counting(of(1_000));
  expect(turns).toBe(10);
  expect(Buffer.from(entries).equals((await encode(of(1_000))).entries)).toBe(true);
  await counting(of(0));
  await counting(of(1_000));
  expect(turns).toBe(20);
});
