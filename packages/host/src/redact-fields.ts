import type { Json, JsonObject } from "@mayfly/spec";

const HIDDEN = "[secret]";

/** Members whose value is never shown. Compared without case, dashes and underscores. */
const SECRET_NAMES = [
  "password",
  "passwd",
  "secret",
  "authorization",
  "proxyauthorization",
  "cookie",
  "setcookie",
  "token",
  "accesstoken",
  "refreshtoken",
  "idtoken",
  "subjecttoken",
  "actortoken",
  "tasktoken",
  "assertion",
  "clientassertion",
  "clientsecret",
  "credential",
  "apikey",
  "privatekey",
  "connectionstring",
];

/** Text that is a secret by its looks: RFC 7519, RFC 7468, RFC 3986 userinfo. */
const SECRET_TEXTS: readonly (readonly [pattern: RegExp, shown: string])[] = [
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*/g, HIDDEN],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@]{1,500}@/gi, `$1${HIDDEN}@`],
  [/\b(Bearer|DPoP|Basic) [A-Za-z0-9._~+/=-]{8,}/g, `$1 ${HIDDEN}`],
];

/** Bounds on one line: what is longer is cut, and says so. */
const MAX_TEXT = 2_000;
const MAX_DEPTH = 6;
const MAX_MEMBERS = 100;

/**
 * The second net. The first is the type `Secret`, which shows `[secret]` by itself; this one
 * catches what never became one. It judges by name and by looks, so it can miss: no code may rely
 * on it.
 */
export function redactFields(fields: JsonObject): JsonObject {
  return redactObject(fields, 0);
}

export function redactText(text: string): string {
  // Looked at further than shown: a token that is cut in its middle no longer looks like one.
  const shown = SECRET_TEXTS.reduce(
    (rest, [pattern, instead]) => rest.replace(pattern, instead),
    text.slice(0, 4 * MAX_TEXT),
  );
  return shown.length > MAX_TEXT ? `${shown.slice(0, MAX_TEXT)}… (cut)` : shown;
}

function redactObject(object: JsonObject, depth: number): JsonObject {
  const shown: Record<string, Json> = {};
  for (const [name, value] of Object.entries(object).slice(0, MAX_MEMBERS)) {
    const plainName = name.toLowerCase().replaceAll(/[-_]/g, "");
    shown[name] = SECRET_NAMES.includes(plainName) ? HIDDEN : redactValue(value, depth + 1);
  }
  return shown;
}

function redactValue(value: Json, depth: number): Json {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "(too deep to show)";
  if (isList(value)) return value.slice(0, MAX_MEMBERS).map((item) => redactValue(item, depth + 1));
  return redactObject(value, depth);
}

/** `Array.isArray` does not narrow a readonly array. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
