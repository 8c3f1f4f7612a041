import type { Prompts } from "@mayfly/cli";
import type { Json, JsonObject } from "@mayfly/spec";

/** One answer, as it was given. */
export type Given =
  | { readonly kind: "text" | "secret"; readonly ask: string; readonly text: string }
  | { readonly kind: "choose"; readonly ask: string; readonly from: number; readonly to: number }
  | { readonly kind: "several"; readonly ask: string; readonly chosen: readonly boolean[] }
  | { readonly kind: "confirm"; readonly ask: string; readonly yes: boolean };

/**
 * Answers each question as somebody does who wants exactly this configuration, and keeps what was
 * asked. An answer that is refused is thrown: what is wanted is acceptable. `keptIn` says under
 * which path a text of several lines is found.
 */
export function personWhoWants(
  wanted: JsonObject,
  keptIn: (path: string, text: string) => string,
): { readonly prompts: Prompts; readonly given: readonly Given[] } {
  const given: Given[] = [];
  const typed = (path: string, ask: string): string => {
    const value = textAt(wanted, path);
    return ask.endsWith(": path of the file") ? keptIn(path, value) : value;
  };
  const prompts: Prompts = {
    say: () => undefined,
    text: async ({ path, ask, standard, check }) => {
      // What a file has is judged once it was read.
      if (given.some((one) => one.kind === "text" && one.ask === ask)) {
        throw new Error(`${path}: its answer was refused`);
      }
      const plain = typed(path, ask);
      const text = check(plain) === null ? plain : JSON.stringify(valueAt(wanted, path));
      refuseRefusal(path, check(text));
      given.push({ kind: "text", ask, text });
      return text === "" ? (standard ?? "") : text;
    },
    secret: async ({ path, ask, check }) => {
      const text = textAt(wanted, path);
      refuseRefusal(path, check(text));
      given.push({ kind: "secret", ask, text });
      return text;
    },
    choose: async ({ path, ask, choices, standard }) => {
      const to = choiceFor(
        valueAt(wanted, path),
        choices.map(({ name }) => name),
      );
      if (to < 0) throw new Error(`${path}: none of ${JSON.stringify(choices)}`);
      given.push({ kind: "choose", ask, from: standard, to });
      return to;
    },
    chooseSeveral: async ({ path, ask, choices }) => {
      const names = Object.keys(objectOf(valueAt(wanted, path)));
      const chosen = choices.map(({ name }) => names.includes(name.split(" ")[0] ?? ""));
      given.push({ kind: "several", ask, chosen });
      return chosen.flatMap((isChosen, at) => (isChosen ? [at] : []));
    },
    confirm: async ({ path, ask }) => {
      const [, list = "", nth] = /^(.*)\[(\d+)\]$/.exec(path) ?? [];
      const yes = Number(nth) < Object.keys(objectOf(valueAt(wanted, list))).length;
      given.push({ kind: "confirm", ask, yes });
      return yes;
    },
  };
  return { prompts, given };
}

function refuseRefusal(path: string, refusal: string | null): void {
  if (refusal !== null) throw new Error(`${path}: ${refusal}`);
}

/** `hosts[0].port`; `[1]` below an object is the name of its second member. */
function valueAt(root: JsonObject, path: string): Json {
  let at: Json = root;
  for (const [step, index] of path.matchAll(/\[(\d+)\]|[^.[\]]+/g)) {
    const members: JsonObject = objectOf(at);
    at =
      index !== undefined && !Array.isArray(at)
        ? (Object.keys(members)[Number(index)] ?? null)
        : (members[index ?? step] ?? null);
  }
  return at;
}
const textAt = (root: JsonObject, path: string): string => {
  const value = valueAt(root, path);
  return typeof value === "string" ? value : JSON.stringify(value);
};
const objectOf = (value: Json): JsonObject =>
  typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};

/** Among the ways to give a secret, the values of a choice, or the forms of a member. */
function choiceFor(value: Json, names: readonly string[]): number {
  if (names.includes("environment variable")) {
    const isOneLine = typeof value === "string" && !/[\r\n]/.test(value);
    return names.indexOf(isOneLine && names.includes("type it now") ? "type it now" : "file");
  }
  const own = names.indexOf(typeof value === "string" ? value : JSON.stringify(value));
  if (own >= 0) return own;
  if (Array.isArray(value)) return names.findIndex((name) => name.startsWith("list of"));
  if (typeof value === "object") {
    const members = Object.values(objectOf(value));
    return names.findIndex((name) => members.includes(name));
  }
  const kinds = { string: "text", number: "number", boolean: "true or false" };
  return names.indexOf(kinds[typeof value as keyof typeof kinds]);
}
