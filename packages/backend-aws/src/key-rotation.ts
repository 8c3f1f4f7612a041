import type { JsonObject, Secret, SecretRotation } from "@mayfly/spec";
import { z } from "zod";
import { brokerLogin, type UserKeys } from "./account-settings.ts";
import { eachKey } from "./login-choice.ts";

/** Of a parsed configuration, which may have further members. */
const withLogin = z.looseObject({ credentials: brokerLogin });
const obtainedKey = z.strictObject({ access_key_id: z.string(), secret_access_key: z.string() });

function keysIn(config: JsonObject): UserKeys {
  const { credentials } = withLogin.parse(config);
  if (credentials.kind === "keys") return credentials;
  throw new TypeError("only keys of a user are replaced");
}

/** One user may be that of many accounts, by their chains. */
function keyIdsIn(config: JsonObject): readonly string[] {
  const { credentials } = withLogin.parse(config);
  return credentials.kind === "keys" ? eachKey(credentials).map((key) => key.access_key_id) : [];
}

/** `undefined` is no JSON: a member that is not there is left out. */
const withKeys = (config: JsonObject, { previous, ...keys }: UserKeys): JsonObject => ({
  ...config,
  credentials: previous === undefined ? keys : { ...keys, previous },
});

/** Of the access key of an IAM user, of which AWS makes each and tells its secret once. */
export const KEY_ROTATION: SecretRotation = {
  madeBy: "upstream",
  obstacle: (config) => {
    switch (withLogin.parse(config).credentials.kind) {
      case "keys":
        return null;
      case "default":
        return (
          "`credentials` are what the AWS SDK finds where the broker runs; replace them there, if " +
          "they are not replaced by AWS itself"
        );
      case "web_identity":
        return (
          "it logs in by a token that its platform writes into `token_file`, and renews; there is " +
          "nothing to replace"
        );
    }
  },
  sharesLogin: ({ config: own }, { config: other }) => {
    const known = keyIdsIn(other);
    return keyIdsIn(own).some((id) => known.includes(id));
  },
  isUnderWay: (config) => {
    const { credentials } = withLogin.parse(config);
    return credentials.kind === "keys" && credentials.previous !== undefined;
  },
  begin: (config, _random, now) => {
    const keys = keysIn(config);
    if (keys.previous !== undefined) return config;
    const { kind: _, ...key } = keys;
    const began = { rotation_began_at: new Date(now).toISOString() };
    return withKeys(config, { ...keys, previous: { ...key, ...began } });
  },
  take: (config, obtained: Secret) => {
    const made = obtainedKey.parse(JSON.parse(obtained.expose("upstream")));
    return withKeys(config, { ...keysIn(config), ...made });
  },
  finish: (config) => {
    const { previous: _, ...keys } = keysIn(config);
    return withKeys(config, keys);
  },
};
