import { generateKeyPairSync, sign } from "node:crypto";

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * A self-signed certificate and its key, both PEM: the least that RFC 5280 section 4.1 has, for
 * which no library is small enough to carry.
 */
export function testCertificate(
  valid: { readonly from?: string; readonly until?: string } = {},
): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(set(sequence(der(0x06, Buffer.from("550403", "hex")), text("localhost"))));
  const ecdsaWithSha256 = sequence(der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    sequence(time(valid.from ?? "2020-01-01"), time(valid.until ?? "2100-01-01")),
    name,
    publicKey.export({ format: "der", type: "spki" }),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const certificate = sequence(
    toBeSigned,
    ecdsaWithSha256,
    der(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
    key: String(privateKey.export({ format: "pem", type: "pkcs8" })),
  };
}

/** Tag, length, content (X.690 section 8.1). */
function der(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, Buffer.concat(parts));
const set = (content: Uint8Array): Buffer => der(0x31, content);
const text = (value: string): Buffer => der(0x0c, Buffer.from(value));
/** GeneralizedTime, to the second. */
const time = (value: string): Buffer =>
  der(0x18, Buffer.from(`${new Date(value).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`));
