import { z } from "zod";
import { readShortLeaseName } from "@mayfly/backend-kit";
import { parseShallowJson, Secret, type BackendHost } from "@mayfly/spec";

/** An account of MySQL is a name and from where it may log in. */
export interface Account {
  readonly name: string;
  readonly host: string;
}

const tagged = { mayfly: z.literal(1), name: z.string(), host: z.string(), tag: z.string() };
const mark = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("lease"), lease: z.string(), ...tagged }),
  z.strictObject({ kind: z.literal("tombstone"), lease: z.string(), at: z.int(), ...tagged }),
]);
export type Mark = z.infer<typeof mark>;

/**
 * What our table says of an account: MariaDB lets nothing be written on an account itself. The tag
 * is over all of it, so that the mark of one account proves nothing of another. `at` is the
 * server's clock, in ms.
 */
export function writeMark(
  account: Account,
  kind: { readonly kind: "lease" } | { readonly kind: "tombstone"; readonly at: number },
  host: BackendHost,
): string {
  const facts = { mayfly: 1, ...kind, lease: leaseOf(account.name), ...account };
  return JSON.stringify({ ...facts, tag: host.tag(textOf(facts)) });
}

/** For people, who cannot read a short name. */
const leaseOf = (name: string): string => readShortLeaseName(name)?.leaseId ?? "";

const textOf = (facts: {
  readonly kind: string;
  readonly name: string;
  readonly host: string;
  readonly at?: number;
}): string => JSON.stringify(["mayfly", 1, facts.kind, facts.name, facts.host, facts.at ?? null]);

/** Null unless it is ours, unaltered, and was made for this account. */
export function readMark(text: string | null, account: Account, host: BackendHost): Mark | null {
  const found = readMarkOf(account.name, text, host);
  return found !== null && found.account.host === account.host ? found.mark : null;
}

/** The same for whichever host the account of this name was made for. */
export function readMarkOf(
  name: string,
  text: string | null,
  host: BackendHost,
): { readonly account: Account; readonly mark: Mark } | null {
  if (text === null || text.length > 1_000) return null;
  let json: unknown;
  try {
    json = parseShallowJson(text);
  } catch {
    return null;
  }
  const parsed = mark.safeParse(json);
  if (!parsed.success || parsed.data.name !== name) return null;
  if (!host.verifyTag(textOf(parsed.data), parsed.data.tag)) return null;
  return { account: { name, host: parsed.data.host.toLowerCase() }, mark: parsed.data };
}

const handle = z.strictObject({ v: z.literal(1), name: z.string(), host: z.string() });
export const writeHandle = ({ name, host }: Account): Secret =>
  Secret.of(JSON.stringify({ v: 1, name, host }));
export function readHandle(text: Secret): Account {
  const parsed = handle.safeParse(JSON.parse(text.expose("upstream")));
  if (!parsed.success || readShortLeaseName(parsed.data.name) === null) {
    throw new TypeError("not a handle of this type of backend");
  }
  // The server keeps hosts in lower case, whichever way they were told.
  return { name: parsed.data.name, host: parsed.data.host.toLowerCase() };
}

/** Names of ours and of our settings hold nothing that would have to be escaped. */
export const quoted = ({ name, host }: Account): string => `\`${name}\`@\`${host}\``;
