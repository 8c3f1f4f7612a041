/**
 * Quoting for statements that take no parameters (CREATE ROLE, GRANT, COMMENT): PostgreSQL's own
 * rules, as in `quote_identifier` and `quote_literal`.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 */

/** `NAMEDATALEN - 1`: longer names are cut by the server, and two could become one. */
export const IDENTIFIER_BYTES_MAX = 63;

export function quoteIdentifier(name: string): string {
  if (name === "" || name.includes("\0") || Buffer.byteLength(name) > IDENTIFIER_BYTES_MAX) {
    throw new RangeError(`a name has 1 to ${IDENTIFIER_BYTES_MAX} bytes and no NUL`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** Safe whatever `standard_conforming_strings` says: a backslash makes it an escape string. */
export function quoteLiteral(text: string): string {
  if (text.includes("\0")) throw new RangeError("PostgreSQL text holds no NUL");
  const quoted = text.replaceAll("'", "''");
  return quoted.includes("\\") ? ` E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

export const literals = (texts: readonly string[]): string => texts.map(quoteLiteral).join(", ");

/** An unsigned 32-bit OID as it stands in a statement. */
export function oidLiteral(oid: number): string {
  if (!Number.isInteger(oid) || oid < 1 || oid > 4_294_967_295) throw new RangeError("no OID");
  return `${oid}::oid`;
}

export function wholeNumber(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError("not a whole number");
  return String(value);
}
