import { CliError, toCliError } from "../cli-error.ts";
import type { WantedRole } from "./wanted-role.ts";

const MEMBER = /^authorization_details\[0\]\.(\w+)(?:\[(\d+)\])?[\w.[\]]*/;
const OPTIONS: ReadonlyMap<string, string> = new Map([
  ["deadline", "--deadline"],
  ["idle_timeout", "--idle-timeout"],
  ["goal", "--goal"],
  ["ref", "--ref"],
  ["targets", "--target"],
]);
/** Members of the SDK's own that were options here. */
const OF_SDK: ReadonlyMap<string, string> = new Map([
  ["identity", "--identity"],
  ["url", "--url"],
  ["issuer", "--issuer"],
]);

/**
 * A refusal in the words of this command: whoever typed `--deadline` never saw a member of
 * `authorization_details`, and how many roles were named before is nothing to count.
 */
export function asTyped(error: unknown, roles: readonly WantedRole[]): CliError {
  const { parts, cause } = toCliError(error);
  const where = parts.where ?? "";
  const place = MEMBER.exec(where);
  const option = place === null ? OF_SDK.get(where) : optionOf(place, roles);
  if (option === undefined) return new CliError(parts, cause);
  const what = place === null ? parts.what : parts.what.replace(`${where}: `, `${option}: `);
  const isMistyped = parts.code === "invalid_task" || parts.code === "invalid_option";
  const todo = isMistyped ? "Correct it; mayfly exec --help says more." : parts.todo;
  return new CliError({ ...parts, what, where: option, todo }, cause);
}

function optionOf(
  [, member = "", index = ""]: RegExpExecArray,
  roles: readonly WantedRole[],
): string | undefined {
  if (member !== "credentials") return OPTIONS.get(member);
  const role = roles[Number(index)]?.role;
  return index === "" || role === undefined ? "--role" : `--role ${role}`;
}
