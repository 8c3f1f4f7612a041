import type { RedisGrant } from "./role-settings.ts";

/**
 * What no lease may do, whatever categories it was given: to change a server's libraries of
 * functions or its script cache changes what other users run.
 */
const NEVER = [
  "function|load",
  "function|delete",
  "function|flush",
  "function|restore",
  "function|kill",
  "script|flush",
  "script|kill",
  "script|debug",
];

/**
 * The rules of `ACL SETUSER` for a grant, in the order in which Redis applies them: nothing, then
 * categories, then what categories must not bring, then what the role names one by one. Begins
 * behind a `reset`, so that they say all there is (https://redis.io/docs/latest/commands/acl-setuser/).
 */
export function aclRules(grant: RedisGrant): readonly string[] {
  const { keys, channels, commands, dangerous, deny } = grant;
  const categories = commands.filter((token) => token.startsWith("@"));
  const named = commands.filter((token) => !token.startsWith("@"));
  return [
    // After a `reset` a server whose acl-pubsub-default is allchannels gives every channel.
    "resetchannels",
    ...keys.read.map((pattern) => `%R~${pattern}`),
    ...keys.write.map((pattern) => `%W~${pattern}`),
    ...keys.read_write.map((pattern) => `~${pattern}`),
    ...channels.map((pattern) => `&${pattern}`),
    "-@all",
    ...categories.map((token) => `+${token}`),
    // A script holds up the whole server while it runs: only where the role says so.
    ...(categories.includes("@scripting") ? [] : ["-@scripting"]),
    ...named.map((token) => `+${token}`),
    "-@admin",
    "-@dangerous",
    ...NEVER.map((token) => `-${token}`),
    ...dangerous.map((token) => `+${token}`),
    ...deny.map((token) => `-${token}`),
  ];
}
