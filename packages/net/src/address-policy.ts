import { BlockList, isIP } from "node:net";

/**
 * Which addresses outbound HTTP may connect to.
 *
 * `public`: what the Internet routes. `unsafe_private`: loopback and private networks too, for
 * clusters, tests and the demo; link-local (where clouds serve instance credentials), multicast
 * and unspecified addresses never.
 */
export type AddressPolicy = "public" | "unsafe_private";

/** IANA IPv4 Special-Purpose Address Registry: all that is not globally reachable. */
const SPECIAL_IPV4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const;

/**
 * Of IPv6 only global unicast is public. Within it: Teredo, benchmarking, ORCHID, documentation,
 * and 6to4, which carries an IPv4 address of the sender's choice. What lies outside needs no list:
 * IPv4-mapped (`::ffff:0:0/96`), NAT64, unique local and link-local addresses among them.
 */
const GLOBAL_IPV6 = ["2000::", 3] as const;
const SPECIAL_IPV6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const;

/** Refused even when private addresses are permitted. */
const NEVER_IPV4 = [
  ["0.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const;
/** Loopback and unique local, without the address at which AWS serves instance metadata. */
const PRIVATE_IPV6 = [
  ["::1", 128],
  ["fc00::", 7],
] as const;
const METADATA_IPV6 = [["fd00:ec2::254", 128]] as const;

const specialIpv4 = listOf("ipv4", SPECIAL_IPV4);
const neverIpv4 = listOf("ipv4", NEVER_IPV4);
const globalIpv6 = listOf("ipv6", [GLOBAL_IPV6]);
const specialIpv6 = listOf("ipv6", SPECIAL_IPV6);
const privateIpv6 = listOf("ipv6", PRIVATE_IPV6);
const metadataIpv6 = listOf("ipv6", METADATA_IPV6);

/** Judges a literal address, never a name; what is no address, or has a zone, is refused. */
export function mayConnectTo(address: string, policy: AddressPolicy): boolean {
  // A zone (`fe80::1%eth0`) belongs to link-local addresses alone.
  const family = address.includes("%") ? 0 : isIP(address);
  if (family === 4) {
    const refused = policy === "public" ? specialIpv4 : neverIpv4;
    return !refused.check(address, "ipv4");
  }
  if (family === 6) {
    if (globalIpv6.check(address, "ipv6") && !specialIpv6.check(address, "ipv6")) return true;
    return (
      policy === "unsafe_private" &&
      privateIpv6.check(address, "ipv6") &&
      !metadataIpv6.check(address, "ipv6")
    );
  }
  return false;
}

function listOf(
  family: "ipv4" | "ipv6",
  subnets: readonly (readonly [string, number])[],
): BlockList {
  const list = new BlockList();
  for (const [network, bits] of subnets) list.addSubnet(network, bits, family);
  return list;
}
