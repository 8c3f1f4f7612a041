import type { TrustRootFacts, TrustRootName } from "@mayfly/spec";

/** As policies name an attribute: one that can change hands says so. */
export const tagOfAttribute = ({
  name,
  stability,
}: Pick<TrustRootFacts["attributes"][number], "name" | "stability">): string =>
  stability === "mutable" ? `mutable.${name}` : name;

const BLANK = "…";

/**
 * A Cedar policy over what the trust root vouches for: the SPIFFE ID, or the first immutable
 * attribute that every token has. Blanks are for a person to fill in.
 */
export function examplePolicy(trustRoot: TrustRootName, facts: TrustRootFacts): string {
  return [
    `@id("${trustRoot}-may-read")`,
    `permit (principal, action == Action::"issue", resource == Role::"${BLANK}/${BLANK}")`,
    "when {",
    `  principal.trust_root == "${trustRoot}" &&`,
    ...conditions(facts).map((line, index, all) =>
      index === all.length - 1 ? `  ${line}` : `  ${line} &&`,
    ),
    "};",
  ].join("\n");
}

function conditions({ trustDomain, attributes }: TrustRootFacts): readonly string[] {
  if (trustDomain !== null) return [`principal.subject == "spiffe://${trustDomain}/${BLANK}"`];
  const required = attributes.filter(({ optional }) => !optional);
  const matched = required.find(({ stability }) => stability === "immutable") ?? required[0];
  if (matched === undefined) return [`principal.subject == "${BLANK}"`];
  const tag = JSON.stringify(tagOfAttribute(matched));
  return [`principal.hasTag(${tag})`, `principal.getTag(${tag}) == "${BLANK}"`];
}
