import type { Json, JsonObject } from "@mayfly/spec";
import type { Draw } from "../simulation/draw.ts";
import { nested, STRANGE_NAMES, STRANGE_NUMBERS, STRANGE_TEXTS } from "./strange-values.ts";

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);
const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !isList(value);

/** A value that hardly anybody expects in its place. */
export function strangeValue(draw: Draw): Json {
  switch (draw.whole(0, 9)) {
    case 0:
      return draw.of(STRANGE_NUMBERS);
    case 1:
      return draw.of([null, true, false]);
    case 2:
      return draw.of<Json>([[], {}, [[]], [{}], [null], ""]);
    case 3:
      return nested(draw.of([3, 8, 9, 40, 2000]));
    case 4:
      return Array.from({ length: draw.of([2, 33, 65, 1001]) }, (_, n) => n);
    case 5:
      return { [draw.of(STRANGE_NAMES)]: draw.of(STRANGE_TEXTS) };
    default:
      return draw.of(STRANGE_TEXTS);
  }
}

/** The value with one thing done to one place of it. */
export function mutated(value: Json, draw: Draw): Json {
  if (isList(value) && value.length > 0 && draw.chance(0.75)) {
    const at = draw.whole(0, value.length - 1);
    return draw.chance(0.15)
      ? [...value, value[at] ?? null]
      : value.map((item, index) => (index === at ? mutated(item, draw) : item));
  }
  if (!isObject(value) || draw.chance(0.1)) {
    return typeof value === "string" ? mutatedText(value, draw) : strangeValue(draw);
  }
  const keys = Object.keys(value);
  const key = keys[draw.whole(0, Math.max(0, keys.length - 1))];
  if (key === undefined || draw.chance(0.15)) {
    return withMember(value, draw.of(STRANGE_NAMES), strangeValue(draw));
  }
  if (draw.chance(0.15)) {
    return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  }
  return withMember(value, key, mutated(value[key] ?? null, draw));
}

/** As a member of its own, whatever it is called. */
const withMember = (value: JsonObject, name: string, member: Json): JsonObject =>
  Object.fromEntries([...Object.entries(value), [name, member]]);

/** The text with one thing done to it. */
export function mutatedText(text: string, draw: Draw): string {
  const at = draw.whole(0, text.length);
  switch (draw.whole(0, 6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text + draw.of(STRANGE_TEXTS);
    case 2:
      return text.slice(0, at) + draw.of(STRANGE_TEXTS) + text.slice(at);
    case 3:
      return text.slice(0, at) + text.slice(at + 1);
    case 4:
      return draw.chance(0.5) ? text.toUpperCase() : `${text}${text}`;
    case 5:
      return text.slice(0, at) + String.fromCharCode(draw.whole(1, 300)) + text.slice(at + 1);
    default:
      return draw.of(STRANGE_TEXTS);
  }
}

/** JSON text as careless and hostile writers have it. */
export function damagedJson(text: string, draw: Draw): string {
  switch (draw.whole(0, 9)) {
    case 0:
      return text.slice(0, draw.whole(0, text.length));
    case 1:
      return text.replace("{", `{"${draw.of(["type", "a", "__proto__", "config"])}":1,`);
    case 2:
      return text.replace(/"([a-z_]+)":/, (member, name: string) => `"${name}":0,${member}`);
    case 3:
      return `\ufeff${text}`;
    case 4:
      return text.replace(/([}\]])$/, ",$1");
    case 5:
      return `/* */${text}`;
    case 6:
      return "[".repeat(draw.of([9, 500, 50_000])) + text;
    case 7:
      return text + text;
    case 8:
      return text.replace(/\d+|"[^"]*"$/, draw.of(["01", "1e999", "NaN", "-", "0x1", "1.", "'a'"]));
    default:
      return text.replace(/"[a-z]/, String.raw`"\u00`);
  }
}
