import type { Preset } from "./preset.ts";
import { presetNames, presets } from "./presets.ts";

const HEAD = `# Presets for OIDC issuers

Generated from \`packages/identity/src/presets\`; run
\`node packages/identity/src/write-presets-page.ts\` after a change.

A preset is data: what is particular to a vendor's tokens. It is resolved when the trust root is
registered, and what is registered never changes with a new version of the presets. Own
\`attributes\`, \`required_claims\`, \`required_text\` and \`absent_claims\` are added to those of the
preset and never replace one. How to add an issuer is in [identity.md](identity.md).

An **immutable** attribute is one that nobody else can come to have, by renaming or by recreating
something under the same name; a policy reads it as \`principal.getTag("name")\`, and a mutable one
as \`principal.getTag("mutable.name")\`. An attribute that is marked *optional* is missing in some of
the vendor's tokens; a token that lacks any other is refused.
`;

/** The page \`docs/identity-presets.md\`. */
export const presetsPage = (): string =>
  `${HEAD}\n${presetNames.map((name) => section(name, presets[name])).join("\n")}`;

function section(name: string, preset: Preset): string {
  const attributes = Object.entries(preset.attributes).map(
    ([attribute, { claim, stability, optional }]) =>
      `| \`${attribute}\` | \`${claim}\` | ${stability}${optional === true ? ", optional" : ""} |`,
  );
  const table =
    attributes.length === 0
      ? "No attributes: the subject is a SPIFFE ID, and policies name it as one.\n"
      : `| attribute | claim | stability |\n| --- | --- | --- |\n${attributes.join("\n")}\n`;
  return `## \`${name}\`: ${preset.title}

${facts(preset)}

${table}
${preset.traps.map((trap) => `- ${trap}`).join("\n")}
`;
}

function facts(preset: Preset): string {
  const required = Object.entries(preset.requiredClaims).map(
    ([claim, value]) => `\`${claim}\` is ${JSON.stringify(value)}`,
  );
  const text = Object.entries(preset.requiredText ?? {}).map(
    ([claim, { starts_with: start, ends_with: end }]) =>
      start === undefined
        ? `\`${claim}\` ends with \`${end ?? ""}\``
        : `\`${claim}\` begins with \`${start}\``,
  );
  const absent = preset.absentClaims.map((claim) => `no \`${claim}\``);
  const rules = [...required, ...text, ...absent];
  return [
    `Issuer: ${(preset.issuer ?? preset.issuerHint).replaceAll("<", "\\<")} ([source](${preset.source})).`,
    `Algorithms: ${preset.algorithms.join(", ")}.`,
    `A token is accepted ${preset.oneTimeTokens ? "once" : "until it expires"}, and for ` +
      `${preset.tokenAgeSecondsMax} s after it was issued.`,
    ...(rules.length === 0 ? [] : [`Required: ${rules.join(", ")}.`]),
    ...(preset.trustDomain ? ["`trust_domain` has to be given."] : []),
  ].join("\n");
}
