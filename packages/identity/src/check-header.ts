import type { Algorithm } from "./algorithms.ts";
import { member, type JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

export interface HeaderRules {
  readonly algorithms: readonly Algorithm[];
  /** Members that may stand in the header; any other is refused (`jwk`, `jku`, `crit`, …). */
  readonly members: readonly string[];
  /** Of the `typ` that is there; an absent one is asked for as null. */
  readonly typeAllowed: (typ: string | null) => boolean;
}
export interface CheckedHeader {
  readonly algorithm: Algorithm;
  readonly kid: string | null;
}

/** A key id is a lookup key, never a path, a URL or a query: printable ASCII, bounded. */
const KID = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/;

/** RFC 8725 sections 3.1, 3.2, 3.10 and 3.11, before any key is looked for. */
export function checkHeader(header: JsonMap, rules: HeaderRules): CheckedHeader {
  for (const name of Object.keys(header)) {
    if (!rules.members.includes(name)) {
      throw new Refusal("header", "the header has a member that is not allowed");
    }
  }
  const alg = member(header, "alg");
  const algorithm = rules.algorithms.find((allowed) => allowed === alg);
  if (algorithm === undefined) {
    throw new Refusal("algorithm", "the header's alg is not one of the allowed ones");
  }
  const typ = member(header, "typ");
  if ((typ !== undefined && typeof typ !== "string") || !rules.typeAllowed(typ ?? null)) {
    throw new Refusal("type", "the header's typ is not that of this kind of token");
  }
  return { algorithm, kid: readKid(header) };
}

function readKid(header: JsonMap): string | null {
  const kid = member(header, "kid");
  if (kid === undefined) return null;
  if (typeof kid !== "string" || !KID.test(kid)) {
    throw new Refusal("header", "the header's kid is not 1 to 256 printable characters");
  }
  return kid;
}
