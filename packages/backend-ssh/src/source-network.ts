import { isIP } from "node:net";
import { z } from "zod";

/**
 * An address or network of a certificate's `source-address`, as sshd compares them: of one that it
 * does not take it refuses the whole list, and with it the certificate. A network has nothing set
 * behind its mask; an IPv4 peer is known by its IPv4 address alone.
 */
export const sourceNetwork = (): z.ZodString =>
  z.string().max(64).refine(isSourceNetwork, {
    message:
      "expected an address or a network with nothing set behind its mask, such as 10.1.0.0/16",
  });

function isSourceNetwork(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0 || address.includes("%")) return false;
  const size = version === 4 ? 32 : 128;
  const value = version === 4 ? numberOf(address.split("."), 8n, 10) : numberOfIpv6(address);
  if (version === 6 && value >> 32n === IPV4_MAPPED) return false;
  if (bits === undefined) return true;
  if (!/^(?:0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > size) return false;
  return value % (1n << BigInt(size - Number(bits))) === 0n;
}

/** `::ffff:0:0/96`, RFC 4291 section 2.5.5.2. */
const IPV4_MAPPED = 0xffffn;

const numberOf = (parts: readonly string[], bits: bigint, radix: 10 | 16): bigint =>
  parts.reduce((sum, part) => (sum << bits) | BigInt(parseInt(part, radix)), 0n);

/** By the one spelling of RFC 5952 that a URL gives it. */
function numberOfIpv6(address: string): bigint {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return numberOf([...first, ...zeros, ...last], 16n, 16);
}
