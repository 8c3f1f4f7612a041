/** Of the primes below 168, those modulo which 65537 does not generate everything. */
const PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
const GENERATOR = 65_537;

const POWERS: readonly (readonly [prime: bigint, powers: ReadonlySet<number>])[] = PRIMES.map(
  (prime) => {
    const powers = new Set<number>();
    for (let power = 1; !powers.has(power); power = (power * GENERATOR) % prime) powers.add(power);
    return [BigInt(prime), powers];
  },
);

/**
 * Whether an RSA modulus (base64url) is of the smart cards whose keys can be computed from their
 * public half (CVE-2017-15361): modulo each small prime it is then a power of 65537. Of other
 * moduli one in 2^27 is taken for such.
 */
export function isRocaModulus(modulus: string): boolean {
  const hex = Buffer.from(modulus, "base64url").toString("hex");
  if (hex === "") return false;
  const number = BigInt(`0x${hex}`);
  return POWERS.every(([prime, powers]) => powers.has(Number(number % prime)));
}
