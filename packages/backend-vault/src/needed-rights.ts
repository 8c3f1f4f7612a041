import type { BackendHost } from "@mayfly/spec";
import type { RoleNeeds } from "./role-settings.ts";

export interface NeededRight {
  /** As a policy names it: `*` stands for the rest of a path. */
  readonly path: string;
  /** One that it covers, to ask the server about. */
  readonly example: string;
  readonly capabilities: readonly string[];
  /** Further lines of the policy. */
  readonly more?: readonly string[];
}

/** What the self-check makes tokens under; it is no name of a lease, so that nothing lists it. */
export const checkName = ({ installation }: BackendHost): string => `mf_${installation}_check`;

/**
 * All that the broker needs on the server, and no more: what it may put into a token role is
 * limited to the policies of Mayfly's own roles.
 */
export function neededRights(
  host: BackendHost,
  roles: readonly RoleNeeds[],
): readonly NeededRight[] {
  const prefix = `mf_${host.installation}_`;
  const check = checkName(host);
  const named = (path: string, end = ""): Pick<NeededRight, "path" | "example"> => ({
    path: `${path}/${prefix}*`,
    example: `${path}/${check}${end}`,
  });
  const plain = (path: string): Pick<NeededRight, "path" | "example"> => ({ path, example: path });
  const leases = "sys/leases/lookup/auth/token/create";
  const leased = distinct(roles.map(({ leasedAt }) => leasedAt));
  const revoked = distinct(roles.map(({ revokePath }) => revokePath));
  return [
    {
      ...named("auth/token/roles"),
      capabilities: ["create", "read", "update", "delete"],
      more: allowedParameters(roles),
    },
    { ...plain("auth/token/roles"), capabilities: ["list"] },
    { ...named("auth/token/create"), capabilities: ["update"] },
    { ...plain("auth/token/revoke-accessor"), capabilities: ["update"] },
    { ...plain(`${leases}/`), capabilities: ["list", "sudo"] },
    { ...named(leases, "/"), capabilities: ["list", "sudo"] },
    {
      ...named("sys/leases/revoke-prefix/auth/token/create"),
      capabilities: ["update", "sudo"],
    },
    ...(leased.length === 0
      ? []
      : [
          { ...plain("sys/leases/lookup"), capabilities: ["update"] },
          // Which leases the server has given up.
          { ...plain("sys/leases"), capabilities: ["read", "sudo"] },
        ]),
    ...leased.flatMap((path) => [
      { ...plain(`sys/leases/lookup/${path}/`), capabilities: ["list", "sudo"] },
      {
        path: `sys/leases/revoke/${path}/*`,
        example: `sys/leases/revoke/${path}/any`,
        capabilities: ["update"],
      },
    ]),
    ...revoked.map((path) => ({ ...plain(path), capabilities: ["update"] })),
  ];
}

const distinct = (paths: readonly (string | null)[]): readonly string[] =>
  [...new Set(paths.filter((path) => path !== null))].toSorted();

/** To a server an empty list is any value at all; there is no policy of this name. */
const NO_ROLE_YET = "no-role-of-mayfly-yet";

/** Without these lines whoever has the broker's token could make one with any policy. */
function allowedParameters(roles: readonly RoleNeeds[]): readonly string[] {
  const sets = [...new Set(roles.map(({ policies }) => policies.join(",")))].toSorted();
  return [
    "allowed_parameters = {",
    `  "allowed_policies" = ${JSON.stringify(sets.length === 0 ? [NO_ROLE_YET] : sets)}`,
    '  "disallowed_policies_glob" = ["*"]',
    ...["orphan", "path_suffix", "token_explicit_max_ttl"].map((name) => `  "${name}" = []`),
    '  "renewable" = [false]',
    '  "token_no_default_policy" = [true]',
    '  "token_type" = ["service"]',
    "}",
  ];
}

/** As the text of a policy, to paste. */
export const asPolicy = (rights: readonly NeededRight[]): string =>
  rights
    .map(({ path, capabilities, more = [] }) => {
      const lines = [`capabilities = ${JSON.stringify(capabilities)}`, ...more];
      return `path "${path}" {\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;
    })
    .join("");
