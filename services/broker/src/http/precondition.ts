import { BrokerError, type Precondition } from "@mayfly/spec";
import type { HttpContext } from "./request-scope.ts";

/** RFC 9110 section 8.8.3. */
export const etagOf = (tag: string): string => `"${tag}"`;

const TAG = /^"([\x21\x23-\x7e]{1,128})"$/;
const TAGS_MAX = 16;

/**
 * `If-Match` with the ETag of what the change was made from, and `If-None-Match: *` to create only
 * (RFC 9110 sections 13.1.1 and 13.1.2). A weak tag never matches.
 */
export function preconditionOf(c: HttpContext): Precondition {
  const ifMatch = c.req.header("if-match");
  const ifNoneMatch = c.req.header("if-none-match");
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw refused("If-Match", "If-Match and If-None-Match exclude each other here: send one.");
  }
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() === "*") return { kind: "absent" };
    throw refused("If-None-Match", "If-None-Match takes * here: it creates and never replaces.");
  }
  if (ifMatch === undefined) return { kind: "none" };
  if (ifMatch.trim() === "*") return { kind: "present" };
  const parts = ifMatch.split(",").map((part) => part.trim());
  const isTags = parts.every((part) => TAG.test(part.replace(/^W\//, "")));
  if (!isTags || parts.length > TAGS_MAX) {
    throw refused("If-Match", 'If-Match takes ETags as they were answered, such as "3", or *.');
  }
  return { kind: "unchanged", tags: parts.flatMap((part) => TAG.exec(part)?.[1] ?? []) };
}

const refused = (where: string, message: string): BrokerError =>
  new BrokerError("invalid_request", message, { where });
