import type { CredentialBackend } from "@mayfly/spec";
import type { BackendTimes, CrowdTimes, OtherEnds, TypeTimes } from "./backend-times.ts";

/** Of fewer rounds the 99th of a hundred is the slowest of all. */
const ROUNDS_OF_A_P99 = 100;
const NOT_MEASURED = "not measured";
const NEVER = "never";
const TIMES =
  "type | mint p50 | revoke to refused p50 | p99 | what revocation means | 1,000 due at once";
const ORIGINS =
  "type | server | refused by | rounds | measured | load | due at once | " +
  "another backend's ends, at most late";
const DOWNS =
  "the server of | refuses: the others' ends late, p50 | at most | hangs: p50 | at most | ends | " +
  "measured | load";
/** Of names with bars between them. */
export const tableHead = (names: string): string =>
  `| ${names} |\n|${" --- |".repeat(names.split(" | ").length)}`;

/** What revocation means and how long it takes, and then how each figure came to be. */
export const timesTables = (
  types: readonly CredentialBackend[],
  meanings: ReadonlyMap<string, string>,
  times: BackendTimes,
): string => `${tableHead(TIMES)}
${types.map(({ type }) => timesRow(type, meanings.get(type) ?? "", times)).join("\n")}

A mint is a whole exchange, from its request to its reply. \`revoke to refused\` runs from the
request that completes the task to the answer of the first attempt that is refused, by who would use
the credential, one task at a time and with the defaults of production; nothing that Mayfly itself
says of the lease counts. \`never\`: nothing but replacing the secret ends it. A p99 of fewer than
${ROUNDS_OF_A_P99} rounds is the slowest of all, and is called that. \`1,000 due at once\` runs from
the one second in which a thousand leases of the type, with a session open of each where the type
has any, are due, until the last of them has ended; meanwhile leases of another backend end.

${tableHead(ORIGINS)}
${types.map(({ type }) => originRow(type, times)).join("\n")}
${downTable(types, times)}${machines(times)}`;

function timesRow(type: string, meaning: string, { types, crowds }: BackendTimes): string {
  const times = types[type];
  const cells = [
    `[\`${type}\`](${type}.md)`,
    times === undefined ? NOT_MEASURED : shown(times.mint_p50_ms),
    ...(times === undefined ? [NOT_MEASURED, NOT_MEASURED] : refusedCells(times)),
    meaning,
    crowdCell(times, crowds[type]),
  ];
  return `| ${cells.join(" | ")} |`;
}

function refusedCells({ refused, rounds }: TypeTimes): readonly string[] {
  if (refused === null) return [NEVER, NEVER];
  const most =
    rounds < ROUNDS_OF_A_P99
      ? `${shown(refused.max_ms)} (slowest of ${rounds})`
      : shown(refused.p99_ms);
  return [shown(refused.p50_ms), most];
}

function crowdCell(times: TypeTimes | undefined, crowd: CrowdTimes | undefined): string {
  if (times?.refused === null) return NEVER;
  if (crowd === undefined) return NOT_MEASURED;
  return `${crowd.outcome} in ${crowd.seconds.toFixed(1)} s`;
}

function originRow(type: string, { types, crowds }: BackendTimes): string {
  const [times, crowd] = [types[type], crowds[type]];
  const any = times ?? crowd;
  const cells = [
    `\`${type}\``,
    any?.version ?? "",
    times?.refused_by ?? "",
    times === undefined ? "" : String(times.rounds),
    [...new Set([times?.date, crowd?.date].filter((date) => date !== undefined))].join(", "),
    [times?.load, crowd?.load].filter((load) => load !== undefined).join(", "),
    crowd === undefined ? "" : `${crowd.leases}, with ${crowd.sessions} sessions`,
    crowd === undefined ? "" : `${shown(crowd.neighbour.late_ms_max)} (of ${crowd.neighbour.ends})`,
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Of the types whose server was down once while leases of others ended. */
function downTable(types: readonly CredentialBackend[], { downs }: BackendTimes): string {
  const rows = types.flatMap(({ type }) => {
    const down = downs[type];
    if (down === undefined) return [];
    const { refuses, hangs, leases, date, load } = down;
    const ends = `${refuses.ends + hangs.ends}, of ${leases} leases each`;
    const cells = [`\`${type}\``, ...lateCells(refuses), ...lateCells(hangs), ends, date, load];
    return [`| ${cells.join(" | ")} |`];
  });
  return rows.length === 0
    ? ""
    : `
One backend that is down delays no other. While the server of one type refuses all connections, and
while it takes them and never answers, leases of \`orders-db\` and of each other type whose end is
over when its server says so are due, one of each every 100 ms; so much later than they were due
their ends were over:

${tableHead(DOWNS)}
${rows.join("\n")}
`;
}

const lateCells = ({ late_p50_ms: half, late_max_ms: most }: OtherEnds): readonly string[] => [
  shown(half),
  shown(most),
];

/** Where all of it was measured, a line for each. */
function machines({ types, crowds, downs }: BackendTimes): string {
  const all = [types, crowds, downs]
    .flatMap((each) => Object.values<{ readonly machine: string }>(each))
    .map(({ machine }) => machine);
  const lines = [...new Set(all)].map((machine) => `- ${machine}`);
  return lines.length === 0
    ? ""
    : `
Measured by \`npm run times\` and \`npm run crowd\`, all servers on the same machine. \`load\` is
what else it had to do when a measurement began (the load average of a minute): above a tenth of its
cores the figures are of a busy machine.

${lines.join("\n")}
`;
}

const shown = (ms: number): string =>
  ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
