import { usageError } from "../cli-error.ts";

/** A role that the command gets a credential of, and what its variables' names begin with. */
export interface WantedRole {
  readonly role: string;
  /** `ORDERS_DB_READER`; empty where the names are the usual ones. */
  readonly prefix: string;
}

const PREFIX = /^(?:[A-Z][A-Z0-9_]{0,63})?$/;

/**
 * Reads `--role ROLE` and `--role ROLE=PREFIX`. One role alone has the usual names; of several each
 * has a prefix, its own name in capitals unless another is given, which may be empty. Two that
 * would get the same names are refused here, before anything is asked of the broker.
 */
export function wantedRoles(given: readonly string[]): readonly WantedRole[] {
  const roles = given.map((text) => {
    const at = text.indexOf("=");
    const role = at === -1 ? text : text.slice(0, at);
    const own = at === -1 ? null : text.slice(at + 1);
    if (own !== null && !PREFIX.test(own)) {
      throw usageError(
        `"${own}" cannot begin the name of a variable.`,
        "Use capitals, digits and underscores: --role orders-db/reader=ORDERS",
        "--role",
      );
    }
    return { role, prefix: own ?? (given.length === 1 ? "" : prefixOf(role)) };
  });
  for (const [index, one] of roles.entries()) {
    const earlier = roles.slice(0, index);
    if (earlier.some(({ role }) => role === one.role)) {
      throw usageError(`The role ${one.role} is named twice.`, "Name it once.", "--role");
    }
    const rival = earlier.find(({ prefix }) => prefix === one.prefix);
    if (rival === undefined) continue;
    throw usageError(
      `${rival.role} and ${one.role} would get the same variables.`,
      `Give one of them a prefix of its own: --role ${one.role}=OTHER`,
      "--role",
    );
  }
  return roles;
}

const prefixOf = (role: string): string => role.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
