import type { Preset } from "./preset.ts";

/** AWS outbound identity federation: one issuer per account; `sub` is the role's ARN. */
export const aws: Preset = {
  title: "AWS outbound identity",
  source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html",
  issuer: null,
  issuerPattern: /^https:\/\/[A-Za-z0-9-]+\.tokens\.sts\.global\.api\.aws$/,
  issuerHint: "https://<id>.tokens.sts.global.api.aws, as your account's settings show it",
  algorithms: ["RS256", "ES384"],
  oneTimeTokens: true,
  tokenAgeSecondsMax: 3600,
  attributes: {
    aws_account: { claim: "/https:~1~1sts.amazonaws.com~1/aws_account", stability: "immutable" },
  },
  requiredClaims: {},
  callerChosenClaims: ["/https:~1~1sts.amazonaws.com~1/request_tags"],
};
