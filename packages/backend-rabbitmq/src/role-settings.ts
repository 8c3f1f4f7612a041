import { beyondRole, leaseRules } from "@mayfly/backend-kit";
import { z } from "zod";
import { isNamePattern, isPatternWithin } from "./name-pattern.ts";

const pattern = z.string().refine(isNamePattern, {
  message:
    "expected a pattern of names: at most 200 printable characters, groups only as (…) and (?:…)",
});
const name = z.string().regex(/^[^\p{Cc}]{1,255}$/u, "expected 1 to 255 printable characters");
/** In the path of a request, encoded or not, `.` and `..` are steps and no names. */
const vhost = name.refine((text) => text !== "." && text !== "..", {
  message: "expected another name than . and ..",
});

const topic = z.strictObject({
  exchange: name,
  write: pattern.describe("Routing keys that may be published with."),
  read: pattern.describe("Routing keys that may be bound with."),
});
type Topic = z.infer<typeof topic>;
const topics = z
  .array(topic)
  .max(16)
  .refine((list) => new Set(list.map(({ exchange }) => exchange)).size === list.length, {
    message: "an exchange is named twice",
  })
  .transform((list) => list.toSorted((a, b) => (a.exchange < b.exchange ? -1 : 1)));

const role = z.strictObject({
  vhost: vhost.describe("The virtual host; a lease is let into no other."),
  configure: pattern.default("").describe("Names that may be declared and deleted; none."),
  write: pattern.default("").describe("Names that may be published to, and bound to; none."),
  read: pattern.default("").describe("Names that may be consumed, and bound from; none."),
  topics: topics
    .default([])
    .describe("Routing keys by topic exchange. One that is not named here is not restricted."),
});

const params = z.strictObject({
  configure: pattern.optional(),
  write: pattern.optional(),
  read: pattern.optional(),
  topics: topics.optional().describe("For each exchange that the role restricts, no more."),
});

const grant = z.strictObject({
  vhost: name,
  configure: z.string(),
  write: z.string(),
  read: z.string(),
  topics: z.array(z.strictObject({ exchange: name, write: z.string(), read: z.string() })).max(16),
});
export type RabbitGrant = z.infer<typeof grant>;

export const leases = leaseRules({
  role,
  params,
  grant,
  grantFor: (fixed, asked): RabbitGrant => {
    const wanted: RabbitGrant = {
      vhost: fixed.vhost,
      configure: asked.configure ?? fixed.configure,
      write: asked.write ?? fixed.write,
      read: asked.read ?? fixed.read,
      topics: asked.topics ?? fixed.topics,
    };
    const beyond = firstBeyond(wanted, fixed);
    if (beyond === null) return wanted;
    throw beyondRole(beyond, "it is not, or not evidently, within what the role allows");
  },
  isGrantWithin: (inner, outer) => firstBeyond(inner, outer) === null,
});

/** The member of `inner` that is not evidently within `outer`; null where all are. */
function firstBeyond(inner: RabbitGrant, outer: RabbitGrant): string | null {
  if (inner.vhost !== outer.vhost) return "vhost";
  for (const member of ["configure", "write", "read"] as const) {
    if (!isPatternWithin(inner[member], outer[member])) return member;
  }
  // A topic exchange without an entry is not restricted: each entry has to be there again.
  const isKept = (restricted: Topic): boolean => {
    const again = inner.topics.find(({ exchange }) => exchange === restricted.exchange);
    return (
      again !== undefined &&
      isPatternWithin(again.write, restricted.write) &&
      isPatternWithin(again.read, restricted.read)
    );
  };
  return outer.topics.every(isKept) ? null : "topics";
}
