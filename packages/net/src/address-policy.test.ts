import { describe, expect, test } from "vitest";
import { mayConnectTo } from "./address-policy.ts";

const ALWAYS_REFUSED = [
  ["AWS, GCP and Azure instance metadata", "169.254.169.254"],
  ["AWS instance metadata over IPv6", "fd00:ec2::254"],
  ["link-local IPv6", "fe80::1"],
  ["link-local IPv6 with a zone", "fe80::1%eth0"],
  ["the unspecified IPv4 address", "0.0.0.0"],
  ["the unspecified IPv6 address", "::"],
  ["multicast IPv4", "224.0.0.1"],
  ["multicast IPv6", "ff02::1"],
  ["broadcast", "255.255.255.255"],
  ["metadata as an IPv4-mapped address", "::ffff:169.254.169.254"],
  ["metadata as an IPv4-mapped address in hex", "::ffff:a9fe:a9fe"],
  ["loopback as an IPv4-mapped address", "::ffff:127.0.0.1"],
  ["loopback as an IPv4-compatible address", "::127.0.0.1"],
  ["a private address behind NAT64", "64:ff9b::a00:1"],
  ["a private address behind 6to4", "2002:a00:1::1"],
  ["Teredo", "2001:0:1::1"],
  ["documentation IPv6", "2001:db8::1"],
  ["no address", "localhost"],
  ["an empty text", ""],
] as const;

const PRIVATE = [
  ["loopback", "127.0.0.1"],
  ["another loopback", "127.8.9.1"],
  ["loopback IPv6", "::1"],
  ["10/8", "10.1.2.3"],
  ["172.16/12", "172.31.255.255"],
  ["192.168/16", "192.168.0.1"],
  ["carrier-grade NAT", "100.64.0.1"],
  ["unique local IPv6", "fd12:3456::1"],
] as const;

const PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] as const;

describe("address policy", () => {
  test.each(ALWAYS_REFUSED)("%s is refused by both policies", (_name, address) => {
    expect(mayConnectTo(address, "public")).toBe(false);
    expect(mayConnectTo(address, "unsafe_private")).toBe(false);
  });

  test.each(PRIVATE)("%s is for the unsafe policy alone", (_name, address) => {
    expect(mayConnectTo(address, "public")).toBe(false);
    expect(mayConnectTo(address, "unsafe_private")).toBe(true);
  });

  test.each(PUBLIC)("%s is public", (address) => {
    expect(mayConnectTo(address, "public")).toBe(true);
    expect(mayConnectTo(address, "unsafe_private")).toBe(true);
  });
});
