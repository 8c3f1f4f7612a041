import { beyondRole, leaseRules } from "@mayfly/backend-kit";
import { z } from "zod";
import { isPatternWithin } from "./pattern-within.ts";

const sorted = (list: readonly string[]): string[] => [...new Set(list)].toSorted();
/** Redis refuses a pattern after `*`, which has them all. */
const patternSet = (list: readonly string[]): string[] =>
  list.includes("*") ? ["*"] : sorted(list);

const pattern = z
  .string()
  .regex(/^[!-~]{1,256}$/, "expected a pattern of 1 to 256 printable ASCII characters, no spaces");
const patterns = z.array(pattern).max(64).transform(patternSet);

const TOKEN = /^(?:@[a-z][a-z0-9_-]*|[a-z][a-z0-9._-]*(?:\|[a-z][a-z0-9_-]*)?)$/;
const token = z
  .string()
  .max(64)
  .regex(TOKEN, "expected @category, command or command|subcommand, in lowercase");
const mayBeAllowed = token.refine((text) => text !== "@admin" && text !== "@dangerous", {
  message: "@admin and @dangerous are never given; name single commands under `dangerous`",
});
const tokens = (least: number) => z.array(mayBeAllowed).min(least).max(64).transform(sorted);
const denials = z.array(token).max(64).transform(sorted);

/** Of `@dangerous`, those that give no power over the server or its users. */
const DANGEROUS = ["flushall", "flushdb", "info", "keys", "restore", "role", "sort", "sort_ro"];
const dangerous = z
  .array(z.enum(DANGEROUS))
  .max(DANGEROUS.length)
  .transform((list) => sorted(list));

const keys = z.strictObject({
  read: patterns.default([]).describe("Patterns of keys that may be read."),
  write: patterns.default([]).describe("Patterns of keys that may be written."),
  read_write: patterns.default([]).describe("Patterns of keys for both."),
});
const NO_KEYS = { read: [], write: [], read_write: [] };

const role = z.strictObject({
  keys: keys.default(NO_KEYS).describe("Keys, as patterns of Redis; none where none is named."),
  channels: patterns.default([]).describe("Channels to publish and subscribe to, as patterns."),
  commands: tokens(1).describe(
    "Categories (@read) and commands (get, config|get). @admin and @dangerous are taken away " +
      "again, and @scripting unless it is named.",
  ),
  dangerous: dangerous.default([]).describe("Single commands of @dangerous that are given."),
  deny: denials.default([]).describe("What is taken away again, such as scan: it lists all keys."),
});

const params = z.strictObject({
  keys: keys.optional().describe("Fewer or narrower patterns than the role has."),
  channels: patterns.optional(),
  commands: tokens(1).optional().describe("Some of the role's, word for word."),
  dangerous: dangerous.optional(),
  deny: denials.optional().describe("Taken away beside what the role takes away."),
});

const names = z.array(z.string()).max(128);
const grant = z.strictObject({
  keys: z.strictObject({ read: names, write: names, read_write: names }),
  channels: names,
  commands: names,
  dangerous: names,
  deny: names,
});
export type RedisGrant = z.infer<typeof grant>;

export const leases = leaseRules({
  role,
  params,
  grant,
  grantFor: (fixed, asked): RedisGrant => {
    const wanted: RedisGrant = {
      keys: asked.keys ?? fixed.keys,
      channels: asked.channels ?? fixed.channels,
      commands: asked.commands ?? fixed.commands,
      dangerous: asked.dangerous ?? fixed.dangerous,
      deny: sorted([...fixed.deny, ...(asked.deny ?? [])]),
    };
    const beyond = firstBeyond(wanted, fixed);
    if (beyond === null) return wanted;
    const why = `"${beyond.text}" is not, or not evidently, within what the role allows`;
    throw beyondRole(beyond.where, why);
  },
  isGrantWithin: (inner, outer) => firstBeyond(inner, outer) === null,
});

interface Beyond {
  readonly where: string;
  readonly text: string;
}

/** What of `inner` is not evidently within `outer`; null where all is. */
function firstBeyond(inner: RedisGrant, outer: RedisGrant): Beyond | null {
  const { read, write, read_write: both } = outer.keys;
  const allowed: readonly (readonly [string, readonly string[], (text: string) => boolean])[] = [
    ["keys.read", inner.keys.read, (text) => isPatternWithin(text, [...read, ...both])],
    ["keys.write", inner.keys.write, (text) => isPatternWithin(text, [...write, ...both])],
    ["keys.read_write", inner.keys.read_write, (text) => isPatternWithin(text, both)],
    ["channels", inner.channels, (text) => isPatternWithin(text, outer.channels)],
    ["commands", inner.commands, (text) => isTokenWithin(text, outer.commands)],
    ["dangerous", inner.dangerous, (text) => outer.dangerous.includes(text)],
    // What the outer one takes away, the inner one must take away too.
    ["deny", outer.deny, (text) => inner.deny.includes(text)],
  ];
  for (const [where, list, isWithin] of allowed) {
    const text = list.find((each) => !isWithin(each));
    if (text !== undefined) return { where, text };
  }
  return null;
}

/**
 * Which commands a category has is the server's affair and differs by version, so a command is not
 * known to be within one. `@all` has every category but `@scripting`, which is given by name alone.
 */
function isTokenWithin(inner: string, outer: readonly string[]): boolean {
  if (outer.includes(inner)) return true;
  if (inner.startsWith("@")) return inner !== "@scripting" && outer.includes("@all");
  const [command = ""] = inner.split("|");
  return command !== inner && outer.includes(command);
}
