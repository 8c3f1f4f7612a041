import { MayflyError } from "./mayfly-error.ts";

/** A JSON object as it came; members that are not known are left alone. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return Object.fromEntries(Object.entries(value));
}

export const textIn = (fields: Fields, name: string): string | null => {
  const value = fields[name];
  return typeof value === "string" ? value : null;
};

export const numberIn = (fields: Fields, name: string): number | null => {
  const value = fields[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
};

export const textsIn = (fields: Fields, name: string): readonly string[] => {
  const value: unknown = fields[name];
  if (!Array.isArray(value)) return [];
  return value.filter((one): one is string => typeof one === "string");
};

export const objectsIn = (fields: Fields, name: string): readonly Fields[] => {
  const value: unknown = fields[name];
  if (!Array.isArray(value)) return [];
  return value.map(fieldsOf).filter((one) => one !== null);
};

/** What a broker always sends; without it, what answers is no broker that we understand. */
export function needed<T>(value: T | null, name: string): T {
  if (value !== null) return value;
  throw new MayflyError({
    code: "not_a_broker",
    what: `The broker's answer has no usable ${name}.`,
    hint: "Check that the URL is a Mayfly broker's, and that its version suits this client.",
  });
}
export const textOf = (fields: Fields, name: string): string => needed(textIn(fields, name), name);
export const numberOf = (fields: Fields, name: string): number =>
  needed(numberIn(fields, name), name);
export const objectOf = (fields: Fields, name: string): Fields =>
  needed(fieldsOf(fields[name]), name);

export function instantOf(fields: Fields, name: string): Date {
  const ms = Date.parse(textOf(fields, name));
  return new Date(needed(Number.isNaN(ms) ? null : ms, name));
}
