import {
  bindingOf,
  Secret,
  type InstantMs,
  type Random,
  type Sealer,
  type StoredSigningKey,
} from "@mayfly/spec";
import { generateSigningKey } from "./signing-key.ts";

/** A new key as it is stored, its private half sealed to its id. */
export async function makeSigningKey(
  { sealer, random }: { readonly sealer: Sealer; readonly random: Random },
  now: InstantMs,
  signsFromAt: InstantMs,
): Promise<StoredSigningKey> {
  const { kid, publicJwk, privateJwk } = generateSigningKey(random);
  const text = Secret.of(JSON.stringify(privateJwk));
  const sealedPrivateJwk = await sealer.seal(text, bindingOf.signingKey(kid));
  return { kid, publicJwk, sealedPrivateJwk, createdAt: now, signsFromAt, verifiesUntilAt: null };
}
