import { LIMITS_SCHEMA } from "@mayfly/backend-kit";
import type { CredentialBackend, Json, JsonObject, JsonSchema } from "@mayfly/spec";
import { tableHead, timesTables } from "./times-tables.ts";
import type { BackendTimes } from "./backend-times.ts";

/** What stands between `<!-- generated: NAME -->` and `<!-- end -->` on the page of a type. */
const PART = /(<!-- generated: (config|role|params) -->\n)[\s\S]*?(<!-- end -->)/g;
const EVERY_TYPE_HAS_LIMITS =
  "Beside these every type has `limits`: [what they bound](README.md#limits).";
/** A page says in one line what the revocation of its type means. */
const REVOCATION = /^\*\*Revocation\*\*: (.+)$/m;

const CAPABILITIES =
  "type | expiry enforced by | renewal | listing | login replaced | a late mint is | lifetime | " +
  "credential";

/** The page of a type with its tables made from the schemas that parse. */
export const withTables = (page: string, type: CredentialBackend): string =>
  page.replaceAll(
    PART,
    (_, begin: string, part: string, end: string) => `${begin}\n${tableOf(type, part)}\n${end}`,
  );

function tableOf(type: CredentialBackend, part: string): string {
  switch (part) {
    case "config": {
      const { limits: _, ...own } = objectAt(type.configSchema, "properties");
      const rows = rowsOf({ ...type.configSchema, properties: own });
      return `${table(rows)}\n${EVERY_TYPE_HAS_LIMITS}\n`;
    }
    case "role":
      return table(rowsOf(type.roleSchema));
    default:
      return table(rowsOf(type.paramsSchema));
  }
}

/** `docs/backends/README.md`. `pages` by type. */
export const backendsPage = (
  types: readonly CredentialBackend[],
  pages: ReadonlyMap<string, string>,
  times: BackendTimes,
): string => `# Backends

Generated from the installed types, and from what was measured of them (\`times.json\`), by
\`node services/composition/src/write-backend-pages.ts\`.

A backend is a registered place that credentials come from, of one of these types. What each does
to revoke is what its page says, and what its probe looks at: a lease is called \`revoked\` only
when the probe saw it. How to add one is in [the kit](../backend-kit.md).

\`mayfly backend add postgres orders-db\`, on a terminal, asks for what the configuration of a type
wants, by the schema that the tables of its page are made from: what is required in its order, then
which of the rest is to be set too. Each answer is checked at once. It shows what it is about to
register, with secrets hidden, and the authority that the page has to copy and paste; it asks,
registers, and shows what the self-check found. Where that is a problem, it says how to mend it and
tries again. \`--set path=value\`, \`--set-file path=FILE\` and \`--from-env path=VARIABLE\` give
answers ahead, \`--no-input\` asks nothing, \`--print\` and \`--out FILE\` write [the file](../apply.md) instead.
\`mayfly role add orders-db/reader\` asks for a role in the same way.

${timesTables(types, meanings(pages), times)}
${tableHead(CAPABILITIES)}
${types.map(capabilityRow).join("\n")}

\`expiry enforced by\` says who stops the credential at its expiry: \`upstream\`, it dies by itself;
\`login_only\`, new logins stop and open sessions go on until Mayfly cuts them; \`broker\`, it lives
until Mayfly ends it. A late mint is one that arrives when its lease was given up: \`refused\` by
the name that recovery took or by a deadline in the call, or \`looked_for\` again, by recovery and
by every listing. \`login replaced\` says whether \`mayfly backend rotate\` replaces the secret by which
Mayfly itself logs in; where not, the page of the type says why, and what to do. Of each type that
says yes it was seen at a running broker and worker (\`test/backends/every-type.test.ts\`): the old
secret is refused, a lease is minted by the new one, and that one ends, and one from before it.

${limitsPart()}`;

const limitsPart = (): string => `## Limits

Every type has the member \`limits\` in its configuration, which bounds what is asked of the
upstream. The rate, \`per_second\` with \`burst\`, is one for all brokers and workers of the
installation; the others [each process has for itself](#what-each-process-has-for-itself).
Without it nothing is bounded beyond what the type itself does.

${table(rowsOf(LIMITS_SCHEMA, "limits."))}
Ends (\`revoke\`, \`probe\`, \`recover\`, listing) go before issuing, and where there is more
than one place, issuing never has the last: no crowd of mints holds up an end by more than the
calls that are under way. Of ends, \`probe\` goes first: what is half done is done before more
is begun. An end is two calls and has 30 s, so a \`per_second\` below 0.5, or a \`burst\` of 1
with one below 1, is a problem that the self-check finds (\`limits_below_ends\`): such a backend
is not registered. Workers share the rate, so give it 0.5 for each. \`call_seconds_max\` bounds
mints and renewals; ends, listings and self-checks have many steps, and the time that the pass gives
them. A breaker that is open makes mints and renewals fail at once, with nothing sent, and lets one
through at a time. It counts what got no answer and what was refused for load, and neither refusals
nor a single lease that cannot be finished; ends it neither counts nor holds back.

**The rate is kept in the ledger**, as a bucket of tokens that its clock fills. A process whose
calls wait draws for those, and ahead for a tenth of a second at most, so that a backend of some
calls a second costs a statement for each, and one of hundreds some ten a second of each process;
one without a rate costs none. What a process drew and did not use is lost after a second, and
with the process if it dies. So no more calls begin within a time than the burst, what the rate
gives in it, and for each process what it may have drawn before: a tenth of a second's worth, at
least one call, for its mints and as much for its ends.

- **Ends come first here too.** A mint gets nothing of the fifth that is kept for ends. An end that
  finds none is promised the next that comes, and no mint gets one before it has.
- **Where the ledger cannot be asked**, mints and renewals fail at once with nothing sent,
  \`backend_unavailable\` with a \`Retry-After\`; a revocation is never refused for it. Each process
  then goes on with its ends at a fifth of the rate, at least 0.5 a second, so that up to five
  processes stay within it.
- **An upstream that asks for fewer calls** (429, or a code of its own that means it) pauses the
  backend for all processes, for as long as it says and at most five minutes: mints and renewals
  fail at once with the \`Retry-After\`, those that wait behind ends within a second; ends wait too,
  but at most ten seconds after each such answer.
  A backend whose configuration has no rate is not paused.

A process of a version from before this keeps a rate of its own, as all of them did: while both run,
there may be as much again of each old one. \`mayfly_backend_budget_draws_total\`,
\`mayfly_backend_pauses_total\`, \`mayfly_backend_breaker\` and
\`mayfly_backend_calls_held_back_total\` are [the metrics](../metrics.md).

### What each process has for itself

\`concurrency\` counts the calls of one process. With three brokers, two workers and a
\`concurrency\` of 10 there may be 50 calls under way: divide what the upstream bears by the most
processes that run at once, those that a rolling update adds included. Where the upstream itself
bounds the sessions of the broker's login, that bound holds for all of them together.

It is not shared as the rate is, since a place has to be given back and a token has not. Of a
process that is killed or frozen, the ledger could only guess that a place is free, after a time:
too soon, and there are more calls than the bound; too late, and a crash takes places away from
ends, when they are wanted most. So a bound that must hold whatever crashes is the upstream's own,
or a rate.

A breaker is of one process too: it says what that one heard. A broker whose way to the upstream is
cut stops asking, and the others go on. When the upstream itself is down, each finds out by
\`failures\` calls of its own, and tries with one call every \`open_seconds\`;
\`mayfly_backend_breaker\` is each one's state. \`call_seconds_max\` is of one call,
wherever it is made.
`;

const meanings = (pages: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...pages].map(([type, page]) => [type, REVOCATION.exec(page)?.[1] ?? ""]));

const capabilityRow = ({ type, capabilities, rotation }: CredentialBackend): string => {
  const { ttlSecondsMin, ttlSecondsMax } = capabilities;
  const cells = [
    `[\`${type}\`](${type}.md)`,
    `\`${capabilities.expiryEnforcedBy}\``,
    capabilities.canRenew ? "yes" : "no",
    capabilities.canList ? "yes" : "no",
    rotation === undefined ? "no" : "yes",
    `\`${capabilities.lateMint}\``,
    `${duration(ttlSecondsMin)} to ${duration(ttlSecondsMax)}`,
    `\`${capabilities.credentialKind}\``,
  ];
  return `| ${cells.join(" | ")} |`;
};

function duration(seconds: number): string {
  if (seconds % 3_600 === 0) return `${seconds / 3_600} h`;
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly standard: string;
  readonly meaning: string;
}

const table = (rows: readonly Row[]): string =>
  rows.length === 0
    ? "None.\n"
    : `| key | value | default | |\n| --- | --- | --- | --- |\n${rows
        .map(({ key, value, standard, meaning }) => {
          const cells = [`\`${key}\``, value, standard, meaning.replaceAll("|", String.raw`\|`)];
          return `| ${cells.join(" | ")} |\n`;
        })
        .join("")}`;

/** A row for each member; those of an inner object follow it, by their whole name. */
function rowsOf(schema: JsonSchema, prefix = ""): readonly Row[] {
  const required = listAt(schema, "required");
  return Object.entries(objectAt(schema, "properties")).flatMap(([name, member]) => {
    if (!isObject(member)) return [];
    const key = `${prefix}${name}`;
    const row = {
      key,
      value: valueOf(member),
      standard: standardOf(member, required.includes(name)),
      meaning: textAt(member, "description"),
    };
    const items = objectAt(member, "items");
    const inner = "properties" in member ? member : items;
    const innerPrefix = "properties" in member ? `${key}.` : `${key}[].`;
    return [row, ...rowsOf(inner, innerPrefix)];
  });
}

function standardOf(member: JsonObject, isRequired: boolean): string {
  const { default: standard } = member;
  if (standard === undefined) return isRequired ? "required" : "";
  return Array.isArray(standard) && standard.length === 0
    ? "none"
    : `\`${typeof standard === "string" ? standard : JSON.stringify(standard)}\``;
}

function valueOf(member: JsonObject): string {
  const choices = listAt(member, "enum").length > 0 ? listAt(member, "enum") : null;
  if (choices !== null)
    return choices
      .map((choice) => `\`${typeof choice === "string" ? choice : JSON.stringify(choice)}\``)
      .join(", ");
  if (member["const"] !== undefined) return `\`${JSON.stringify(member["const"])}\``;
  const anyOf = listAt(member, "anyOf").filter(isObject);
  if (anyOf.length > 0) return anyOf.map(valueOf).join(" or ");
  const secret = member["writeOnly"] === true ? ", secret" : "";
  switch (member["type"]) {
    case "integer":
    case "number":
      return `number${rangeOf(member)}`;
    case "array":
      return `list of ${valueOf(objectAt(member, "items"))}`;
    case "boolean":
      return "`true` or `false`";
    case "object":
      return "object";
    default:
      return `text${secret}`;
  }
}

/** What a schema of ours says of it; the greatest number that there is says nothing. */
function rangeOf({ minimum, maximum, exclusiveMinimum }: JsonObject): string {
  const least = typeof minimum === "number" ? String(minimum) : null;
  const above = typeof exclusiveMinimum === "number" ? `above ${exclusiveMinimum}` : null;
  const most = typeof maximum === "number" && maximum < Number.MAX_SAFE_INTEGER ? maximum : null;
  const from = least ?? above;
  if (from === null && most === null) return "";
  return most === null ? `, from ${from}` : `, ${from ?? ""} to ${most}`;
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const objectAt = (of: JsonObject, key: string): JsonObject => {
  const value = of[key];
  return isObject(value) ? value : {};
};
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const listAt = (of: JsonObject, key: string): readonly Json[] => {
  const value = of[key];
  return isList(value) ? value : [];
};
const textAt = (of: JsonObject, key: string): string => {
  const value = of[key];
  return typeof value === "string" ? value : "";
};
