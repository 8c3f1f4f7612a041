import { LEASE_NAME_PATTERN } from "@mayfly/backend-kit";
import { Secret, type BackendHost } from "@mayfly/spec";
import { z } from "zod";

/**
 * Users of RabbitMQ have no comments, but tags: those that the server does not know (it knows
 * `administrator`, `monitoring` and a few more) mean nothing to it. One of them is the keyed tag
 * that makes a user one of ours. `at` is our clock, in ms.
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

export function writeMark(mark: Mark, host: BackendHost): string {
  const tag = host.tag(textOf(mark));
  return mark.kind === "lease" ? `mf-lease-${tag}` : `mf-tombstone-${mark.at}-${tag}`;
}

const MARK = /^mf-(?:lease|tombstone-(\d{1,15}))-([0-9a-f]{64})$/;

/** A user as the API shows it; before 3.9 the tags were one text with commas. */
export const apiUser = z.object({
  name: z.string(),
  tags: z.union([z.array(z.string()), z.string().transform((text) => text.split(","))]),
  password_hash: z.string().optional(),
});
export type ApiUser = z.infer<typeof apiUser>;

/** Null unless a tag of ours was made for the user of this name. */
export function readMark({ name, tags }: ApiUser, host: BackendHost): Mark | null {
  for (const text of tags) {
    const [, at, tag] = MARK.exec(text) ?? [];
    if (tag === undefined) continue;
    const mark: Mark =
      at === undefined ? { kind: "lease", name } : { kind: "tombstone", name, at: Number(at) };
    if (host.verifyTag(textOf(mark), tag)) return mark;
  }
  return null;
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
