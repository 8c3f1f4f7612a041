import { LEASE_NAME_PATTERN } from "@mayfly/backend-kit";
import { z } from "zod";
import { Secret, type BackendHost } from "@mayfly/spec";

/**
 * Redis has no comments, so the keyed tag that makes a user one of ours is a second password of it:
 * Redis keeps passwords as SHA-256 in hexadecimal digits, 64 of them, which is what a tag looks
 * like. Nobody can log in with it, since nobody knows a text whose SHA-256 it is.
 *
 * `at` is our clock, in ms: a server's cannot be asked for by all who may manage users.
 */
export type Mark =
  | { readonly kind: "lease"; readonly name: string }
  | { readonly kind: "tombstone"; readonly name: string; readonly at: number };

const textOf = (mark: Mark): string =>
  JSON.stringify(
    mark.kind === "lease"
      ? ["mayfly", 1, "lease", mark.name]
      : ["mayfly", 1, "tombstone", mark.name, mark.at],
  );

export const tagOf = (mark: Mark, host: BackendHost): string => host.tag(textOf(mark));

const TOMBSTONE_KEY = /^%R~mayfly-tombstone:(\d{1,15})$/;

/**
 * A user that cannot log in and may do nothing, which holds a name. When it was made stands in a
 * pattern of keys, of which it may do nothing either.
 */
export const tombstoneRules = (name: string, at: number, host: BackendHost): readonly string[] => [
  "reset",
  "resetchannels",
  "off",
  "-@all",
  `%R~mayfly-tombstone:${at}`,
  `#${tagOf({ kind: "tombstone", name, at }, host)}`,
];

/** A user as a line of `ACL LIST` shows it. */
export interface ListedUser {
  readonly name: string;
  readonly on: boolean;
  readonly rules: readonly string[];
}

/** `user NAME on #HASH … ~PATTERN … -@all +get`: names and rules have no spaces. */
export function readListedUser(line: string): ListedUser | null {
  const [word, name, ...rules] = line.split(" ");
  if (word !== "user" || name === undefined) return null;
  return { name, on: rules.includes("on"), rules };
}

/** Null unless a tag of ours was made for the user of this name. */
export function readMark(user: ListedUser, host: BackendHost): Mark | null {
  const tags = user.rules.filter((rule) => rule.startsWith("#")).map((rule) => rule.slice(1));
  const marks: Mark[] = [{ kind: "lease", name: user.name }];
  for (const rule of user.rules) {
    const at = TOMBSTONE_KEY.exec(rule)?.[1];
    if (at !== undefined) marks.push({ kind: "tombstone", name: user.name, at: Number(at) });
  }
  return marks.find((mark) => tags.some((tag) => host.verifyTag(textOf(mark), tag))) ?? null;
}

const handle = z.strictObject({
  v: z.literal(1),
  name: z.string().regex(new RegExp(LEASE_NAME_PATTERN)),
});

export const writeHandle = (name: string): Secret => Secret.of(JSON.stringify({ v: 1, name }));

export function readHandle(text: Secret): string {
  const parsed = handle.safeParse(JSON.parse(text.expose("upstream")));
  if (!parsed.success) throw new TypeError("not a handle of this type of backend");
  return parsed.data.name;
}
