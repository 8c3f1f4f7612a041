import { z } from "zod";
import { LEASE_NAME_PATTERN, readLeaseName } from "@mayfly/backend-kit";
import { parseShallowJson, Secret, type BackendHost } from "@mayfly/spec";

/**
 * How everything of ours is recognised: the role's name holds installation and lease, its COMMENT
 * a keyed tag over all that the comment says. A name alone proves nothing: anybody with CREATEROLE
 * can choose it.
 */
const tagged = { name: z.string(), tag: z.string() };
const mark = z.discriminatedUnion("kind", [
  z.strictObject({
    mayfly: z.literal(1),
    kind: z.literal("lease"),
    owner: z.string().nullable(),
    ...tagged,
  }),
  z.strictObject({ mayfly: z.literal(1), kind: z.literal("tombstone"), at: z.int(), ...tagged }),
]);
export type Mark = z.infer<typeof mark>;
/** What a mark says, without version and tag. `at` is the server's clock, in ms. */
export type MarkFacts =
  | { readonly kind: "lease"; readonly name: string; readonly owner: string | null }
  | { readonly kind: "tombstone"; readonly name: string; readonly at: number };

const textOf = (facts: MarkFacts): string =>
  JSON.stringify(
    facts.kind === "lease"
      ? ["mayfly", 1, "lease", facts.name, facts.owner]
      : ["mayfly", 1, "tombstone", facts.name, facts.at],
  );

export const writeMark = (facts: MarkFacts, host: BackendHost): string =>
  JSON.stringify({ mayfly: 1, ...facts, tag: host.tag(textOf(facts)) });

/**
 * Null unless the comment is ours, unaltered, and was made for the role named `name`: the mark of
 * one role copied to another proves nothing.
 */
export function readMark(comment: string | null, name: string, host: BackendHost): Mark | null {
  if (comment === null || comment.length > 1_000) return null;
  let json: unknown;
  try {
    json = parseShallowJson(comment);
  } catch {
    return null;
  }
  const parsed = mark.safeParse(json);
  if (!parsed.success || parsed.data.name !== name) return null;
  return host.verifyTag(textOf(parsed.data), parsed.data.tag) ? parsed.data : null;
}

/** Whether a role is a lease's of this installation: by its name, and by a mark made for it. */
export function isLeaseRole(
  name: string | null,
  comment: string | null,
  host: BackendHost,
): name is string {
  if (name === null || readLeaseName(name)?.installation !== host.installation) return false;
  return readMark(comment, name, host) !== null;
}

const handle = z.strictObject({
  v: z.literal(1),
  name: z.string().regex(new RegExp(LEASE_NAME_PATTERN)),
  oid: z.int().min(1).max(4_294_967_295),
  owner: z.string().nullable(),
});
export interface LeaseHandle {
  /** As it was made; a hint, since somebody may rename a role. The OID decides. */
  readonly name: string;
  readonly oid: number;
  /** Who was to get what the lease owns; null: whoever the configuration names. */
  readonly owner: string | null;
}
export const writeHandle = (lease: LeaseHandle): Secret =>
  Secret.of(JSON.stringify({ v: 1, name: lease.name, oid: lease.oid, owner: lease.owner }));
export function readHandle(text: Secret): LeaseHandle {
  const parsed = handle.safeParse(JSON.parse(text.expose("upstream")));
  if (!parsed.success) throw new TypeError("not a handle of this type of backend");
  return parsed.data;
}
