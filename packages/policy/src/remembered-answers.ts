/** What Cedar made of a request: ids of policies, without the texts of its errors. */
export interface CedarAnswer {
  readonly decision: "allow" | "deny";
  readonly reason: readonly string[];
  readonly failed: readonly string[];
}

export const ANSWERS_MAX = 4_096;
const KEY_CHARACTERS_MAX = 2_048;

/**
 * Cache: Cedar's answers, by all that they can depend on. An answer is a pure function of the
 * policies and of the facts that they read, so it does not age; each engine has a cache of its own,
 * since its policies are not in the key. What Cedar did not answer is not kept.
 */
export interface RememberedAnswers {
  of(key: string, ask: () => CedarAnswer | null): CedarAnswer | null;
  readonly size: number;
}

export function createRememberedAnswers(): RememberedAnswers {
  const answers = new Map<string, CedarAnswer>();
  return {
    of: (key, ask) => {
      const known = answers.get(key);
      if (known !== undefined) {
        answers.delete(key);
        answers.set(key, known);
        return known;
      }
      const answer = ask();
      if (answer === null || key.length > KEY_CHARACTERS_MAX) return answer;
      const [oldest] = answers.size >= ANSWERS_MAX ? answers.keys() : [];
      if (oldest !== undefined) answers.delete(oldest);
      answers.set(key, answer);
      return answer;
    },
    get size() {
      return answers.size;
    },
  };
}
