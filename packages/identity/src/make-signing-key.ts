import {
  Secret,
  type BackendKeyAlgorithm,
  type InstantMs,
  type Random,
  type Sealer,
  type StoredSigningKey,
} from "@mayfly/spec";
import { generateSigningKey } from "./signing-key.ts";

export interface KeyMaking {
  readonly sealer: Sealer;
  readonly random: Random;
  /** What the private half of a key is sealed to. */
  readonly binding: (kid: string) => string;
}

/** A new key as it is stored, its private half sealed to its id. */
export async function makeSigningKey(
  { sealer, random, binding }: KeyMaking,
  algorithm: BackendKeyAlgorithm,
  now: InstantMs,
  signsFromAt: InstantMs,
): Promise<StoredSigningKey> {
  const { kid, publicJwk, privateJwk } = await generateSigningKey(random, algorithm);
  const text = Secret.of(JSON.stringify(privateJwk));
  const sealedPrivateJwk = await sealer.seal(text, binding(kid));
  return { kid, publicJwk, sealedPrivateJwk, createdAt: now, signsFromAt, verifiesUntilAt: null };
}
