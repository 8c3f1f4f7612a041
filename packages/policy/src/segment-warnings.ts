import type { Expression, LikePattern } from "./expression.ts";
import { everyPart } from "./expression.ts";
import type { ParsedClause } from "./parsed-policy.ts";
import { pathOf } from "./vocabulary-rule.ts";

/** Facts that may be a SPIFFE ID. */
const IDS: ReadonlySet<string> = new Set([
  "principal.subject",
  "context.task.initiator",
  "resource.workload",
  "resource.initiator",
]);
const WILDCARD = null;

/**
 * What a `like` on a SPIFFE ID may match beyond what its author meant: Cedar's star also stands for
 * slashes, and for the rest of a segment. None of one that ends in a slash and a star and has no
 * other: that is all ids below a path, by whole segments.
 */
export function segmentWarnings(clauses: readonly ParsedClause[]): readonly string[] {
  const parts = clauses.flatMap(({ body }) => [...everyPart(body)]);
  return [...new Set(parts.flatMap((part) => warningOf(part) ?? []))];
}

function warningOf(part: Expression): string | null {
  if (part.kind !== "comparison" || part.pattern === undefined) return null;
  const [operand] = part.operands;
  const fact = operand === undefined ? null : pathOf(operand);
  const { pattern } = part;
  if (fact === null || !IDS.has(fact) || !mayBeId(pattern) || isWhole(pattern)) return null;
  const shown = JSON.stringify(textOf(pattern));
  const about =
    `${fact} like ${shown}: a star also matches across the slashes of a SPIFFE ID, and the rest ` +
    "of a segment or of a trust domain.";
  return `${about} ${fact === "principal.subject" ? adviceFor(pattern) : ADVICE}`;
}

const ADVICE =
  'Put the star at the end alone, with a slash before it, as in "spiffe://acme.test/ns/*".';

/** Whether some SPIFFE ID matches: the text is in its characters, and may begin as one does. */
function mayBeId(pattern: LikePattern): boolean {
  if (!pattern.includes(WILDCARD)) return false;
  const literals = pattern.filter((element) => element !== WILDCARD);
  if (literals.some((text) => /[^A-Za-z0-9._/:-]/.test(text))) return false;
  const [first] = pattern;
  if (first === undefined || first === WILDCARD) return true;
  return first.startsWith("spiffe://") || "spiffe://".startsWith(first);
}

const isWhole = (pattern: LikePattern): boolean => {
  const [text, star, ...more] = pattern;
  return (
    typeof text === "string" &&
    star === WILDCARD &&
    more.length === 0 &&
    /^spiffe:\/\/[^/]+\/(?:[^/]+\/)*$/.test(text)
  );
};

const textOf = (pattern: LikePattern): string => pattern.map((element) => element ?? "*").join("");

/** What says by whole segments what the pattern seems to mean. */
function adviceFor(pattern: LikePattern): string {
  const match = /^spiffe:\/\/(?<domain>[^/*]+)\/(?<path>.+)$/.exec(textOf(pattern));
  const { domain = "acme.test", path = "ns/payments" } = match?.groups ?? {};
  const segments = path.split("/");
  const named = segments.flatMap((segment, index) =>
    segment.includes("*") ? [] : [`${index + 1}=${segment}`],
  );
  const isBySegment = match !== null && segments.every((each) => each === "*" || !/\*/.test(each));
  if (isBySegment) {
    const lines = JSON.stringify([`segments=${segments.length}`, ...named]);
    return (
      `Write principal.issuer == "spiffe://${domain}" && ` +
      `principal.spiffe_path.containsAll(${lines}).`
    );
  }
  const whole = segments.slice(
    0,
    segments.findIndex((each) => each.includes("*")),
  );
  const at = match === null ? ["spiffe://acme.test", "ns"] : [`spiffe://${domain}`, ...whole];
  return (
    `Write principal in SpiffePath::"${at.join("/")}" for all below a path, or ` +
    'principal.spiffe_path.containsAll(["segments=2", "1=ns"]) for single segments.'
  );
}
