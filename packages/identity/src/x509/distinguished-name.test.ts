import { expect, test } from "vitest";
import type { Certificate } from "./certificate.ts";
import { isNameOf, parseDistinguishedName } from "./distinguished-name.ts";

const [CN, O, OU, C, DC, UID, EMAIL] = [
  "2.5.4.3",
  "2.5.4.10",
  "2.5.4.11",
  "2.5.4.6",
  "0.9.2342.19200300.100.1.25",
  "0.9.2342.19200300.100.1.1",
  "1.2.840.113549.1.9.1",
] as const;
type Part = Certificate["subject"][number];
const part = (type: string, text: string | null): Part => [{ type, text }];

/** Whether the text is this name; null where it is none. The most general part comes first. */
function isOf(text: string, ...subject: readonly Part[]): boolean | null {
  const name = parseDistinguishedName(text);
  return name === null ? null : isNameOf(name, { subject });
}

const plain: readonly Part[] = [part(C, "DE"), part(O, "Acme"), part(CN, "batch")];

test("a name is a certificate's part by part, the most specific one first", () => {
  expect(isOf("CN=batch,O=Acme,C=DE", ...plain)).toBe(true);
  expect(isOf("cn=batch, o=Acme, 2.5.4.6=DE ", ...plain)).toBe(true);
  for (const other of [
    "C=DE,O=Acme,CN=batch",
    "CN=batch,O=Acme",
    "CN=batch,O=Acme,C=DE,O=Acme",
    "CN=batch,C=DE,O=Acme",
    "CN=Batch,O=Acme,C=DE",
    "CN=batch,OU=Acme,C=DE",
    "CN=batch\\00,O=Acme,C=DE",
  ]) {
    expect([other, isOf(other, ...plain)]).toEqual([other, false]);
  }
});

/* Each as `openssl x509 -noout -subject -nameopt RFC2253` of OpenSSL 3.0 printed it. */
test.each<[string, readonly Part[]]>([
  [
    String.raw`CN=batch,OU=Batch,O=Acme\, Inc.,C=DE`,
    [part(C, "DE"), part(O, "Acme, Inc."), part(OU, "Batch"), part(CN, "batch")],
  ],
  [
    "UID=7+CN=batch,DC=acme,DC=test",
    [part(DC, "test"), part(DC, "acme"), [...part(CN, "batch"), ...part(UID, "7")]],
  ],
  [String.raw`CN=b\C3\A4tch,O=Acme`, [part(O, "Acme"), part(CN, "b\u00e4tch")]],
  [String.raw`CN=\#batch,O=Acme #1`, [part(O, "Acme #1"), part(CN, "#batch")]],
  [String.raw`CN=\ batch\ ,O=Acme`, [part(O, "Acme"), part(CN, " batch ")]],
  [String.raw`CN=a=b,O=A\"c\<m\>e\;\\x`, [part(O, String.raw`A"c<m>e;\x`), part(CN, "a=b")]],
  [
    "emailAddress=ops@acme.test,CN=batch,O=Acme",
    [part(O, "Acme"), part(CN, "batch"), part(EMAIL, "ops@acme.test")],
  ],
])("%s is read as it was printed", (text, subject) => {
  expect(isOf(text, ...subject)).toBe(true);
});

test("a part of several attributes is a set, and all of it counts", () => {
  const two: Part = [...part(UID, "7"), ...part(CN, "batch")];
  expect(isOf("CN=batch+UID=7", two)).toBe(true);
  for (const other of ["CN=batch", "UID=7", "CN=batch,UID=7", "CN=batch+UID=7+OU=x"]) {
    expect([other, isOf(other, two)]).toEqual([other, false]);
  }
  expect(isOf("CN=batch,UID=7", part(UID, "7"), part(CN, "batch"))).toBe(true);
  expect(isOf("CN=batch+UID=7", part(UID, "7"), part(CN, "batch"))).toBe(false);
});

test("an attribute in an encoding that is not in use is no name's", () => {
  expect(isOf("CN=batch", part(CN, null))).toBe(false);
  expect(isOf("CN=batch", [...part(CN, "batch"), ...part(UID, null)])).toBe(false);
});

test.each([
  "",
  "batch",
  "CN=",
  "=batch",
  "CN= batch",
  "CN=a,,O=b",
  "CN=a,",
  ",CN=a",
  "CN=a+,O=b",
  "CN=a+CN=a",
  "X=a",
  "CN=#0C0161",
  "CN=a\\",
  String.raw`CN=a\x`,
  String.raw`CN=\FF`,
  String.raw`CN=\C3`,
  'CN="a"',
  "CN=a;O=b",
  "CN=a<b",
  "CN=a\0b",
  Array.from({ length: 21 }, () => "CN=a").join(","),
])("%j is no name", (text) => {
  expect(parseDistinguishedName(text)).toBeNull();
});

test("a name of many backslashes and separators is read in time that grows with it", () => {
  for (const text of ["\\".repeat(2048), ",".repeat(2048), `CN=${" ".repeat(2045)}`]) {
    expect(parseDistinguishedName(text)).toBeNull();
  }
});
