import { z } from "zod";
import { idPattern, NAME_PATTERNS, type IdKind } from "@mayfly/spec";

/** RFC 3339 in UTC with milliseconds, as every answer has it. */
export const instantShape = z.iso.datetime().meta({
  id: "Instant",
  description: "RFC 3339, in UTC, with milliseconds.",
  examples: ["2026-11-20T22:15:00.000Z"],
});
export const idShape = (kind: IdKind) => z.string().regex(new RegExp(idPattern(kind)));
export const nameShape = (kind: keyof typeof NAME_PATTERNS) =>
  z.string().regex(new RegExp(NAME_PATTERNS[kind]));
/** What stands behind the slash of a role's name. */
export const roleOwnNameShape = z
  .string()
  .regex(new RegExp(`^${NAME_PATTERNS.role.slice(NAME_PATTERNS.role.indexOf("/") + 1)}`));
/** Any JSON object; what is in it is the backend type's, or the ledger's. */
export const objectShape = z.record(z.string(), z.unknown());
export const countShape = z.number().int().min(0);
export const pageShape = <S extends z.ZodType>(item: S) =>
  z.strictObject({
    items: z.array(item),
    next: z
      .string()
      .nullable()
      .meta({ description: "Send it as `after` for the next page; null: this is the last." }),
  });
