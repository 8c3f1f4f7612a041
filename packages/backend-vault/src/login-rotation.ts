import type { JsonObject, SecretRotation } from "@mayfly/spec";
import { z } from "zod";
import { brokerLogin, type LoginSettings } from "./server-settings.ts";

/** 256 bits, as of every secret that Mayfly makes for itself. */
const SECRET_BYTES = 32;

/** Of a parsed configuration, which may have further members. */
const withLogin = z.looseObject({ login: brokerLogin });

const loginIn = (config: JsonObject): LoginSettings => withLogin.parse(config).login;

/** Both kinds are random, so that an equal one is the same one. */
function secretsIn(config: JsonObject): readonly string[] {
  const { token, previous_token, approle } = loginIn(config);
  const secrets = [token, previous_token, approle?.secret_id, approle?.previous_secret_id];
  return secrets.filter((secret) => secret !== undefined);
}

/** `undefined` is no JSON: a member that is not there is left out. */
const withOther = (config: JsonObject, login: LoginSettings): JsonObject => ({
  ...config,
  login: JSON.parse(JSON.stringify(login)) as JsonObject,
});

/**
 * Of an AppRole's secret id, which Mayfly makes itself, and of a token, which the server makes. So
 * the type obtains secrets, and where it has a secret id it obtains none.
 */
export const LOGIN_ROTATION: SecretRotation = {
  madeBy: "upstream",
  obstacle: (config) => {
    const { token, token_role: role, approle } = loginIn(config);
    if (approle !== undefined || role !== undefined) return null;
    return token === undefined
      ? "it logs in by a token that its platform writes into a file, and renews; there is nothing " +
          "to replace"
      : "a token cannot make another one that outlives it but by a token role; name one as " +
          "`login.token_role` (docs/backends/vault.md has it), or register the backend with " +
          "another token";
  },
  sharesLogin: ({ config: own }, { config: other }) => {
    const known = secretsIn(other);
    return secretsIn(own).some((secret) => known.includes(secret));
  },
  isUnderWay: (config) => {
    const { previous_token: token, approle } = loginIn(config);
    return (token ?? approle?.previous_secret_id) !== undefined;
  },
  begin: (config, random) => {
    const login = loginIn(config);
    if (LOGIN_ROTATION.isUnderWay(config)) return config;
    const { token, approle } = login;
    if (approle === undefined) return withOther(config, { ...login, previous_token: token });
    const next = Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url");
    const replaced = { ...approle, secret_id: next, previous_secret_id: approle.secret_id };
    return withOther(config, { ...login, approle: replaced });
  },
  take: (config, obtained) =>
    withOther(config, { ...loginIn(config), token: obtained.expose("upstream") }),
  finish: (config) => {
    const { previous_token: _, ...login } = loginIn(config);
    if (login.approle === undefined) return withOther(config, login);
    const { previous_secret_id: __, ...approle } = login.approle;
    return withOther(config, { ...login, approle });
  },
};
