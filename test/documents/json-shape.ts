/** Names and types of a JSON value: `string`, `[string]`, `{ id: string }`. */
export type Shape = string | readonly [Shape] | { readonly [name: string]: Shape };

/** Whatever the backend's type, the request or the event puts there. */
const OPEN = new Set([
  "config",
  "data",
  "facts",
  "grant",
  "looked",
  "params",
  "request",
  "verdict",
]);
/** Of several kinds, each with members of its own: which one is there is chance. */
const UNION = "exposure";
/** What is null, or a list without elements, says nothing of its type. */
const ANY = "any";

export function shapeOf(value: unknown): Shape {
  if (value === null || value === undefined) return ANY;
  if (Array.isArray(value)) {
    return [value.map(shapeOf).reduce((all, each) => merged(all, each), ANY)];
  }
  if (typeof value !== "object") return typeof value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    members.map(([name, member]) => [name, OPEN.has(name) ? ANY : shapeOfMember(name, member)]),
  );
}

function shapeOfMember(name: string, member: unknown): Shape {
  if (name !== UNION || typeof member !== "object" || member === null) return shapeOf(member);
  const { kind, ...rest } = member as { readonly kind?: unknown };
  return { [`kind ${String(kind)}`]: shapeOf(rest) };
}

/** Both in one: members of either, and of two types both names. */
export function merged(a: Shape, b: Shape): Shape {
  if (a === ANY) return b;
  if (b === ANY || isDeepEqual(a, b)) return a;
  if (isList(a) && isList(b)) return [merged(a[0], b[0])];
  if (isObject(a) && isObject(b)) {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted();
    return Object.fromEntries(names.map((name) => [name, merged(a[name] ?? ANY, b[name] ?? ANY)]));
  }
  return [...new Set([...typesOf(a), ...typesOf(b)])].toSorted().join(" | ");
}

/** What others would notice: each a sentence. What is null today is what it was kept as. */
export function changesOf(kept: Shape, found: Shape, at = ""): readonly string[] {
  if (kept === ANY || found === ANY || isDeepEqual(kept, found)) return [];
  if (isList(kept) && isList(found)) return changesOf(kept[0], found[0], `${at}[]`);
  if (isObject(kept) && isObject(found)) {
    const names = [...new Set([...Object.keys(kept), ...Object.keys(found)])].toSorted();
    return names.flatMap((name) => {
      const [before, now] = [kept[name], found[name]];
      const path = at === "" ? name : `${at}.${name}`;
      if (name.startsWith("kind ") && (before === undefined || now === undefined)) return [];
      if (now === undefined) return [`${path} is gone`];
      return before === undefined ? [`${path} is new`] : changesOf(before, now, path);
    });
  }
  const known = typesOf(kept);
  const others = typesOf(found).filter((type) => !known.includes(type));
  const where = at === "" ? "it" : at;
  return others.length === 0 ? [] : [`${where} was ${textOf(kept)} and is ${textOf(found)}`];
}

const typesOf = (shape: Shape): readonly string[] =>
  typeof shape === "string" ? shape.split(" | ") : [textOf(shape)];
const textOf = (shape: Shape): string =>
  typeof shape === "string" ? shape : isList(shape) ? "a list" : "an object";
const isDeepEqual = (a: Shape, b: Shape): boolean => JSON.stringify(a) === JSON.stringify(b);
const isList = (shape: Shape): shape is readonly [Shape] => Array.isArray(shape);
const isObject = (shape: Shape): shape is { readonly [name: string]: Shape } =>
  typeof shape === "object" && !isList(shape);
