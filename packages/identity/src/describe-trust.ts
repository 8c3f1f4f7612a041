import {
  unreachable,
  x509IssuerOf,
  type TrustRoot,
  type TrustRootFacts,
  type TrustRootName,
} from "@mayfly/spec";
import { parseOidcConfig, type OidcConfig } from "./oidc-config.ts";
import { isJsonMap, member } from "./parse-compact-jwt.ts";
import { presetNames, presets } from "./presets/presets.ts";
import { parseSpiffeConfig, type SpiffeConfig } from "./spiffe-config.ts";
import { parseX509Config, type X509Config } from "./x509-config.ts";

/** What the configuration of a trust root means, as whoever registers it should read it. */
export function describeTrust(
  name: TrustRootName,
  kind: TrustRoot["kind"],
  input: unknown,
  ownIssuer: string,
): TrustRootFacts {
  switch (kind) {
    case "oidc": {
      const config = parseOidcConfig(name, ownIssuer, input);
      return {
        issuer: config.issuer,
        trustDomain: config.trust_domain ?? null,
        ...common(config, ownIssuer),
        requirements: requirementsOf(config),
        once: config.one_time_tokens,
        traps: [...trapsOfPreset(input), ...ownTraps(config)],
      };
    }
    case "spiffe": {
      const config = parseSpiffeConfig(name, input);
      return {
        issuer: `spiffe://${config.trust_domain}`,
        trustDomain: config.trust_domain,
        ...common(config, ownIssuer),
        requirements: [
          ...claimsOf(config.required_claims),
          ...(config.spiffe_ids === undefined
            ? []
            : [`the SPIFFE ID is ${config.spiffe_ids.join(" or ")}`]),
        ],
        once: false,
        traps: [],
      };
    }
    case "x509": {
      const { clients } = parseX509Config(name, input);
      return {
        issuer: x509IssuerOf(name),
        trustDomain: null,
        audience: ownIssuer,
        attributes: [],
        requirements: clients.map(requirementOf),
        once: false,
        traps: ["Revocation lists are not read: certificates should be short-lived."],
      };
    }
    default:
      return unreachable(kind);
  }
}

function requirementOf({ client, ...subject }: X509Config["clients"][number]): string {
  const [form, text] = Object.entries(subject)[0] ?? ["", ""];
  return `the certificate of ${client} has ${form} ${text}`;
}

function common(
  { audience, attributes, memberships }: OidcConfig | SpiffeConfig,
  ownIssuer: string,
): Pick<TrustRootFacts, "audience" | "attributes"> {
  const declared = Object.entries(attributes).map(([name, { claim, stability, optional }]) => ({
    name,
    claim,
    stability,
    optional: optional === true,
  }));
  const held = Object.entries(memberships ?? {}).flatMap(([name, { claim, of, stability }]) =>
    of.map((value) => ({ name: `${name}:${value}`, claim, stability, optional: true })),
  );
  return { audience: audience ?? ownIssuer, attributes: [...declared, ...held] };
}

const claimsOf = (required: OidcConfig["required_claims"]): readonly string[] =>
  Object.entries(required).map(([claim, value]) => `${claim} is ${JSON.stringify(value)}`);

function requirementsOf(config: OidcConfig): readonly string[] {
  const texts = Object.entries(config.required_text ?? {}).flatMap(
    ([claim, { starts_with: start, ends_with: end }]) => [
      ...(start === undefined ? [] : [`${claim} begins with ${JSON.stringify(start)}`]),
      ...(end === undefined ? [] : [`${claim} ends with ${JSON.stringify(end)}`]),
    ],
  );
  const absent = (config.absent_claims ?? []).map((claim) => `${claim} is absent`);
  const domain =
    config.trust_domain === undefined ? [] : [`sub is a SPIFFE ID of ${config.trust_domain}`];
  const review =
    config.token_review === undefined ? [] : [`cluster ${config.token_review} knows the token`];
  return [...claimsOf(config.required_claims), ...texts, ...absent, ...domain, ...review];
}

function trapsOfPreset(input: unknown): readonly string[] {
  const preset = isJsonMap(input) ? member(input, "preset") : undefined;
  const known = presetNames.find((name) => name === preset);
  return known === undefined ? [] : presets[known].traps;
}

function ownTraps(config: OidcConfig): readonly string[] {
  return [
    ...(config.unsafe_allow_private_addresses
      ? [
          "Its keys may come over http and from private addresses: whoever is on that path is believed.",
        ]
      : []),
    ...(config.unsafe_allow_other_audiences
      ? ["Tokens that are addressed to others as well are accepted: they could present them here."]
      : []),
    ...(config.initiators
      ? ["Its identities count as people who ask for tasks: no workload may get a token of it."]
      : []),
    ...(config.administrators === true
      ? ["Its identities may administer, where policies permit."]
      : []),
  ];
}
