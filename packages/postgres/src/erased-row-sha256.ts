import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { JsonObject } from "@mayfly/spec";

/** Of `mayfly_audit.erased_rows`. */
export interface ErasedRow {
  readonly table_name: string;
  readonly id: string;
  readonly content: JsonObject;
}

/** Hex SHA-256 of the canonical JSON (RFC 8785) of what an erasure left of a row. */
export function erasedRowSha256({ table_name: table, id, content }: ErasedRow): string {
  const text = canonicalize({ table, id, content });
  if (text === undefined) throw new Error("a row has no canonical form");
  return createHash("sha256").update(text, "utf8").digest("hex");
}
