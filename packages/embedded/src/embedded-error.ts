/** The four things that a reader of an error needs. None of them may hold a secret. */
export interface EmbeddedErrorParts {
  /** What failed, as a clause: `PostgreSQL did not start`. */
  readonly what: string;
  /** The directory, program or option that it concerns. */
  readonly where: string;
  /** Why, as far as it is known; a server's own last log lines count. */
  readonly why: string;
  /** The next step for the reader. */
  readonly remedy: string;
}

/** The one error that this package throws. Its message holds all four parts. */
export class EmbeddedError extends Error {
  override readonly name = "EmbeddedError";
  readonly parts: EmbeddedErrorParts;

  constructor(parts: EmbeddedErrorParts, options?: ErrorOptions) {
    super(`${parts.what} (${parts.where}): ${parts.why}. ${parts.remedy}`, options);
    this.parts = parts;
  }
}

/** The message of anything thrown, for the `why` of an error that wraps it. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The code (`ENOENT`, `EPERM`) of a thrown system error, or `undefined`. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
