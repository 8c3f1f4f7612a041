import { createHash } from "node:crypto";

/** Lowercase hex SHA-256 of UTF-8 text: for comparison, never for secrets at rest. */
export const sha256Hex = (text: string): string => createHash("sha256").update(text).digest("hex");
