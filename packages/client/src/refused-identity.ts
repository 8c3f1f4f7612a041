import { secondsExpired } from "./identity/token-claims.ts";
import { MayflyError } from "./mayfly-error.ts";
import type { Secret } from "./secret.ts";
import type { Surroundings } from "./surroundings.ts";

/** The broker tells nobody why it refused a proof; what can be seen from here is said here. */
export function whyRefused(error: unknown, proof: Secret, { clock }: Surroundings): unknown {
  if (!MayflyError.is(error) || error.code !== "invalid_identity") return error;
  const seconds = secondsExpired(proof.expose(), clock.now());
  if (seconds === null) return error;
  const seen = `By this machine's clock the token has been expired for ${seconds} s.`;
  const { code, what, where, trace, status, retryAfterSeconds } = error;
  const hint = [seen, error.hint ?? ""].join(" ").trimEnd();
  return new MayflyError({ code, what, where, hint, trace, status, retryAfterSeconds });
}
