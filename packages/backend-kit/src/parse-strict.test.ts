import { InvalidInput } from "@mayfly/spec";
import { expect, test } from "vitest";
import { z } from "zod";
import { parseStrict } from "./parse-strict.ts";
import { plainObject } from "./plain-json.ts";
import {
  apiHost,
  apiOrigin,
  certificates,
  ownSecret,
  serverHost,
  serverPort,
  serverTls,
  tlsMode,
} from "./server-settings.ts";

const schema = z.strictObject({
  host: serverHost(),
  port: serverPort().default(1),
  password: ownSecret(),
  tls: tlsMode(),
  ca: certificates().optional(),
  others: z.array(z.strictObject({ host: serverHost() })).default([]),
});
const good = { host: "db.test", password: "canary-password" };

test("a good input gets its defaults, and is its own normal form", () => {
  const parsed = plainObject(parseStrict(schema, good, "config"));
  expect(parsed).toEqual({ ...good, port: 1, tls: "verify-full", others: [] });
  expect(parseStrict(schema, parsed, "config")).toEqual(parsed);
});

test.each([
  [{ ...good, prot: 1 }, "config.prot"],
  [{ ...good, others: [{ host: "a", prot: 1 }] }, "config.others[0].prot"],
  [{ ...good, host: "a b" }, "config.host"],
  [{ ...good, password: "canary\0password" }, "config.password"],
  [{ ...good, ca: "canary" }, "config.ca"],
  [null, "config"],
])("%j is refused, by its place and without its value", (input, place) => {
  let thrown: unknown;
  try {
    parseStrict(schema, input, "config");
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(InvalidInput);
  expect(String(thrown)).toContain(place);
  expect(String(thrown)).not.toContain("canary");
});

test.each([
  ["unknown", z.strictObject({})],
  ["refused", z.record(z.string().max(3), z.string())],
])("a member's name that is %s is the caller's text: shown short, on one line", (_why, of) => {
  const name = `a\nb\u{1f99f}${"c".repeat(100_000)}`;
  let thrown: unknown;
  try {
    parseStrict(of, { [name]: "x" }, "params");
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof InvalidInput)) throw new Error("it was not refused");
  for (const text of [thrown.message, String(thrown.where)]) {
    expect(text).toMatch(/^params\.a\?b\?c{59}(?!c)[ -~]{0,90}$/);
  }
});

test.each(["db.test", "127.0.0.1", "::1", "fe80::1"])("%s is a host of an API", (host) => {
  const origin = apiOrigin({ host: apiHost().parse(host), port: 15671 }, false);
  expect(new URL(origin).port).toBe("15671");
});

test.each(["fe80::1%eth0", "db.test:443", "db%2etest", ":", "1.2.3.4.5", "::1::2"])(
  "%s is none: no URL could be made of it when it is opened",
  (host) => {
    const parse = (): unknown =>
      parseStrict(z.strictObject({ host: apiHost() }), { host }, "config");
    expect(parse).toThrow(InvalidInput);
    expect(parse).toThrow("config.host");
  },
);

test("only verify-full looks at who answers, and then at the host that was configured", () => {
  expect(serverTls({ tls: "unsafe_disable" }, "db.test")).toBe(false);
  expect(serverTls({ tls: "unsafe_require_unverified" }, "db.test")).toEqual({
    rejectUnauthorized: false,
  });
  const tls = serverTls({ tls: "verify-full", ca: "pem" }, "db.test");
  if (tls === false) throw new Error("no TLS");
  expect(tls).toMatchObject({ rejectUnauthorized: true, ca: "pem" });
  // A cast: the check reads these members alone.
  const of = (name: string) => ({ subjectaltname: `DNS:${name}`, subject: { CN: name } }) as never;
  expect(tls.checkServerIdentity?.("localhost", of("db.test"))).toBeUndefined();
  expect(tls.checkServerIdentity?.("localhost", of("localhost"))).toBeInstanceOf(Error);
});
