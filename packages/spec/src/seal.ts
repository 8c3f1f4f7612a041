import type { Secret } from "./secret.ts";

/**
 * Envelope encryption of what must be stored, and keyed hashes.
 *
 * E1. Bound: `open` with another `binding` fails. E2. What was sealed under an older key opens as
 * long as that key is configured. E3. Fails without saying anything of the content.
 */
export interface Sealer {
  seal(plain: Secret, binding: string): Promise<Uint8Array>;
  open(sealed: Uint8Array, binding: string): Promise<Secret>;
  /** Lowercase hex; keyed and domain-separated: a leaked credential can be traced, not guessed. */
  fingerprint(secret: Secret): string;
  /** {@link fingerprint} under each key that is configured, the one in use first: to search by. */
  fingerprints(secret: Secret): readonly string[];
  /** Lowercase hex; keyed and domain-separated from {@link fingerprint}. */
  tag(text: string): string;
  verifyTag(text: string, tag: string): boolean;
  /** Names of the sealing keys: the first seals, all of them open. */
  readonly keyIds: readonly [string, ...string[]];
  /** Under which key it was sealed, whether that is at hand or not. Throws if it is not sealed. */
  keyIdOf(sealed: Uint8Array): string;
}

/** The binding of each thing that is sealed. */
export const bindingOf = {
  leaseHandle: (leaseId: string): string => `lease:${leaseId}`,
  backendConfig: (backendId: string, revision: number): string =>
    `backend:${backendId}:${revision}`,
  signingKey: (kid: string): string => `signing-key:${kid}`,
  backendKey: (backendId: string, kid: string): string => `backend-key:${backendId}:${kid}`,
} as const;
