import type { UserKeys } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";

/** AWS's word for an access key that is not known to it (yet), inactive or deleted. */
const UNKNOWN_KEY = "InvalidClientTokenId";

export const isUnknownKey = (thrown: unknown): thrown is AwsFailure =>
  thrown instanceof AwsFailure && thrown.code === UNKNOWN_KEY;

/** The keys of a configuration, each by itself, the one that is to stay first. */
export function eachKey({ previous, ...current }: UserKeys): readonly UserKeys[] {
  if (previous === undefined || previous.access_key_id === current.access_key_id) return [current];
  const { rotation_began_at: _, ...before } = previous;
  return [current, { kind: "keys", ...before }];
}

/**
 * Of several logins, one that AWS accepts: while a key is replaced, either may be the one. A call
 * whose key AWS did not know had no effect, so that it is made again by the other.
 */
export class LoginChoice<Login> {
  readonly #logins: readonly Login[];
  #preferred: Login;

  constructor([first, ...others]: readonly [Login, ...Login[]]) {
    this.#logins = [first, ...others];
    this.#preferred = first;
  }

  async use<T>(work: (login: Login) => Promise<T>): Promise<T> {
    const tried = this.#preferred;
    try {
      return await work(tried);
    } catch (thrown) {
      const other = this.#logins.find((login) => login !== tried);
      if (other === undefined || !isUnknownKey(thrown)) throw thrown;
      const answer = await work(other);
      this.#preferred = other;
      return answer;
    }
  }
}
