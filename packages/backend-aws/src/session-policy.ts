import type { Statement } from "./policy-statement.ts";

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, `Policy`. */
export const POLICY_CHARACTERS_MAX = 2_048;

interface PolicyStatement {
  readonly Effect: "Allow" | "Deny";
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Statement["conditions"];
}

/**
 * No lease hands itself on: a role that it took would be another session, of another name, that no
 * deny of ours names, and a token of its identity (GetWebIdentityToken) would outlive it elsewhere.
 */
const NOT_HANDED_ON: PolicyStatement = { Effect: "Deny", Action: "sts:*", Resource: "*" };

/** What a session may do at most: the role's own policies narrow it further. */
export const sessionPolicy = (allowed: readonly Statement[]): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [...allowed.map(allow), NOT_HANDED_ON],
  });

const allow = ({ actions, resources, conditions }: Statement): PolicyStatement => ({
  Effect: "Allow",
  Action: oneOrMany(actions),
  Resource: oneOrMany(resources),
  ...(Object.keys(conditions).length === 0 ? {} : { Condition: conditions }),
});

/** Brackets count: the limit is small. */
const oneOrMany = (list: readonly string[]): string | readonly string[] =>
  list.length === 1 ? (list[0] ?? "") : list;
