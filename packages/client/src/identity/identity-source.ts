import type { Surroundings } from "../surroundings.ts";

/** Where a proof of identity comes from: a JWT whose audience is the broker's issuer. */
export interface IdentitySource {
  /** Shown in errors. */
  readonly kind: string;
  /**
   * Null where it can serve on this machine, or why it cannot. Asked only when no source is chosen.
   */
  whyNot(around: Surroundings, signal: AbortSignal | undefined): Promise<string | null>;
  /** A fresh token, at each call. Throws; an error's text never has the token. */
  prove(audience: string, around: Surroundings, signal?: AbortSignal): Promise<string>;
}

/** A source of your own: anything that makes a JWT for an audience. */
export interface CustomIdentity {
  readonly kind: string;
  token(audience: string): Promise<string> | string;
}

/** What a source says when it cannot; who asked for the token says which source it was. */
export class SourceFailure extends Error {
  override readonly name = "SourceFailure";
}

export const custom = (own: CustomIdentity): IdentitySource => ({
  kind: own.kind,
  whyNot: () => Promise.resolve(null),
  prove: async (audience) => own.token(audience),
});

/** Text of a file or variable that should be a token: one line. */
export function tokenIn(text: string, where: string): string {
  const token = text.trim();
  if (token === "") throw new SourceFailure(`${where} is empty`);
  return token;
}

/** Why something failed, by its code alone: messages may quote what they were given. */
export function shortReason(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth++, at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof Error ? error.name : "it failed";
}
