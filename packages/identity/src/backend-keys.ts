import { compactVerify, SignJWT } from "jose";
import {
  BACKEND_KEY_ALGORITHMS,
  bindingOf,
  BrokerError,
  Secret,
  type BackendId,
  type BackendKeys,
  type Clock,
  type JsonObject,
  type Random,
  type Sealer,
  type SigningKeyAdministration,
  type SigningKeyStore,
} from "@mayfly/spec";
import { checkHeader, type HeaderRules } from "./check-header.ts";
import { parseCompactJwt } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";
import { createSigningKeyAdministration } from "./signing-key-administration.ts";
import { createSigningKeys, type KeyOf, type SigningKeysOptions } from "./signing-keys.ts";
import type { TaskTokensSettings } from "./task-tokens-settings.ts";

export interface BackendKeysOptions {
  readonly backendId: BackendId;
  readonly store: SigningKeyStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: TaskTokensSettings;
}

const withBinding = (options: BackendKeysOptions): SigningKeysOptions => ({
  ...options,
  binding: (kid) => bindingOf.backendKey(options.backendId, kid),
});

/** What administrators do to the keys of one backend. */
export const createBackendKeyAdministration = (
  options: BackendKeysOptions,
): SigningKeyAdministration => createSigningKeyAdministration(withBinding(options));

/** Keys of one backend's own tokens, on the machinery of task tokens and apart from their keys. */
export function createBackendKeys(options: BackendKeysOptions): BackendKeys {
  const { clock } = options;
  const keys = createSigningKeys(withBinding(options));
  return {
    sign: async (type, claims) => {
      const { kid, algorithm, key } = await keys.signer(clock.now());
      const text = await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: algorithm, kid, typ: type })
        .sign(key);
      return Secret.of(text);
    },
    verify: async (type, token) => {
      try {
        return await verifyBy(type, token.expose("crypto"), (kid) =>
          keys.verifier(kid, clock.now()),
        );
      } catch (error) {
        // A failure of the ledger stays what it is: the caller may try again.
        if (BrokerError.is(error)) throw error;
        return null;
      }
    },
    verifyForEnd: async (type, token) => {
      try {
        return await verifyBy(type, token.expose("crypto"), (kid) => keys.stored(kid));
      } catch (error) {
        if (BrokerError.is(error)) throw error;
        return null;
      }
    },
    published: () => keys.published(),
    authorities: () => keys.authorities(clock.now()),
    rotate: (algorithm, now) => keys.rotate(now, algorithm),
  };
}

async function verifyBy(
  type: string,
  token: string,
  find: (kid: string) => Promise<KeyOf | null>,
): Promise<JsonObject> {
  const { algorithm, kid, compact, claims } = readParsed(type, token);
  const known = kid === null ? null : await find(kid);
  if (known === null) throw new Refusal("unknown_key", "no key of this backend, or no more");
  // RFC 8725 section 3.1: the key says which algorithm, not the token.
  if (known.algorithm !== algorithm) throw new Refusal("algorithm", "not the key's algorithm");
  await compactVerify(compact, known.key, { algorithms: [algorithm] });
  return claims;
}

/** Nothing of it is verified yet. */
function readParsed(type: string, token: string) {
  const { header, claims, compact } = parseCompactJwt(token);
  const rules: HeaderRules = {
    algorithms: BACKEND_KEY_ALGORITHMS,
    members: ["alg", "kid", "typ"],
    typeAllowed: (typ) => typ === type,
  };
  // It came out of JSON: an object there is a JSON object.
  return { ...checkHeader(header, rules), compact, claims: claims as JsonObject };
}
