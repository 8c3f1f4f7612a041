import type { Delegation } from "@mayfly/spec";
import { isJsonMap, member, type JsonMap } from "./parse-compact-jwt.ts";
import { isPlainText } from "./read-attributes.ts";
import { Refusal } from "./refusal.ts";

/** Of one token; a longer history is nobody's to read. */
const ACTORS_MAX = 4;

/**
 * `act` and `may_act` of a token (RFC 8693 sections 4.1 and 4.4). Other claims within an `act`,
 * `exp` or `aud` for instance, mean nothing. Null where it has neither.
 */
export function readDelegation(claims: JsonMap): Delegation | null {
  const act = member(claims, "act");
  const mayAct = member(claims, "may_act");
  if (act === undefined && mayAct === undefined) return null;
  return {
    actors: act === undefined ? [] : readActors(act),
    mayAct: mayAct === undefined ? null : readMayAct(mayAct),
  };
}

function readActors(outermost: unknown): readonly string[] {
  const names: string[] = [];
  let act = outermost;
  while (act !== undefined) {
    if (names.length === ACTORS_MAX) {
      throw new Refusal("claims", `the token's act is more than ${ACTORS_MAX} deep`);
    }
    if (!isJsonMap(act)) throw new Refusal("claims", "the token's act is not an object");
    const { issuer, subject } = readParty(act, "act");
    const isQualified = issuer !== null && !subject.startsWith("spiffe://");
    names.push(isQualified ? `${issuer}#${subject}` : subject);
    act = member(act, "act");
  }
  return names;
}

function readMayAct(mayAct: unknown): Delegation["mayAct"] {
  if (!isJsonMap(mayAct)) throw new Refusal("claims", "the token's may_act is not an object");
  const isComparable = Object.keys(mayAct).every((name) => name === "iss" || name === "sub");
  return { ...readParty(mayAct, "may_act"), isComparable };
}

function readParty(
  party: JsonMap,
  what: string,
): { readonly issuer: string | null; readonly subject: string } {
  const subject = member(party, "sub");
  const issuer = member(party, "iss") ?? null;
  const isNamed = isPlainText(subject) && subject !== "";
  if (!isNamed || (issuer !== null && !isPlainText(issuer))) {
    throw new Refusal("claims", `the token's ${what} names nobody`);
  }
  return { issuer, subject };
}
