import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createClientAddress,
  type ConnectedRequest,
  type ProxySettings,
} from "./client-address.ts";

const TRUSTED = [
  { address: "10.0.0.0", prefix: 8, family: "ipv4" },
  { address: "fd00::", prefix: 8, family: "ipv6" },
] as const;
const settings = (change: Partial<ProxySettings> = {}): ProxySettings => ({
  trustedProxies: TRUSTED,
  trustedProxyHeader: "x-forwarded-for",
  ...change,
});
/** As Node gives them: lower-case names, a repeated header joined by a comma. */
const from = (
  remoteAddress: string,
  headers: Readonly<Record<string, string>> = {},
): ConnectedRequest => ({ socket: { remoteAddress }, headers });
const xff = (value: string) => ({ "x-forwarded-for": value });

describe("the address of a client", () => {
  it.each([
    ["the connection's, with no header", "203.0.113.9", "", "203.0.113.9"],
    [
      "the connection's, whatever a stranger's header says",
      "203.0.113.9",
      "198.51.100.1",
      "203.0.113.9",
    ],
    ["the one that a trusted proxy saw", "10.0.0.1", "198.51.100.1", "198.51.100.1"],
    [
      "the right-most that is no proxy",
      "10.0.0.1",
      "1.2.3.4, 198.51.100.1, 10.0.0.7",
      "198.51.100.1",
    ],
    ["a proxy's, where all are proxies", "10.0.0.1", "10.0.0.9, 10.0.0.7", "10.0.0.9"],
    ["the proxy's, where it wrote no address", "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"],
    ["without its port", "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"],
    ["in IPv6, without brackets and port", "fd00::1", "[2001:db8::7]:4711", "2001:db8::7"],
    [
      "in IPv4, where it is mapped into IPv6",
      "::ffff:10.0.0.1",
      "::ffff:198.51.100.1",
      "198.51.100.1",
    ],
  ])("is %s", (_what, remote, header, expected) => {
    const address = createClientAddress(settings());
    expect(address(from(remote, header === "" ? {} : xff(header)))).toBe(expected);
  });
  it("is the connection's without trusted proxies", () => {
    const address = createClientAddress(settings({ trustedProxies: [] }));
    expect(address(from("10.0.0.1", xff("198.51.100.1")))).toBe("10.0.0.1");
    expect(address(undefined)).toBeNull();
  });
  it.each([
    ["for=198.51.100.1;proto=https;by=10.0.0.1", "198.51.100.1"],
    ['for=1.2.3.4, For="[2001:db8::7]:4711"', "2001:db8::7"],
    ['by="a,for=1.2.3.4";for=198.51.100.1', "198.51.100.1"],
    ["for=198.51.100.1, for=_hidden", "10.0.0.1"],
    ["proto=https", "10.0.0.1"],
  ])("is read from Forwarded where the proxies write that: %s", (forwarded, expected) => {
    const address = createClientAddress(settings({ trustedProxyHeader: "forwarded" }));
    expect(address(from("10.0.0.1", { forwarded, ...xff("9.9.9.9") }))).toBe(expected);
  });
  it("is never what a client wrote, whatever that is, when its proxy appends what it saw", () => {
    const address = createClientAddress(settings());
    fc.assert(
      fc.property(fc.string(), fc.ipV4(), (forged, seen) => {
        fc.pre(!seen.startsWith("10."));
        expect(address(from("10.0.0.1", xff(`${forged}, ${seen}`)))).toBe(seen);
        // The header that the proxies do not write goes through them unread.
        const other = { forwarded: `for=${seen}`, ...xff("198.51.100.1") };
        expect(address(from("10.0.0.1", other))).toBe("198.51.100.1");
      }),
    );
  });
});
