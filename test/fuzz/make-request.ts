import type { Json, JsonObject } from "@mayfly/spec";
import type { Draw } from "../simulation/draw.ts";
import type { ApiDocument, ApiOperation } from "./api-document.ts";
import type { Corpus } from "./corpus.ts";
import { place, WIRES, type FuzzRequest, type Wire } from "./fuzz-request.ts";
import { damagedJson, mutated, mutatedText, strangeValue } from "./mutate.ts";
import { STRANGE_NAMES, STRANGE_TEXTS } from "./strange-values.ts";

export interface Ingredients {
  readonly api: ApiDocument;
  readonly corpus: Corpus;
  /** Names of tokens that somebody has, each a place. */
  readonly tokens: readonly [string, ...string[]];
  /** Those that nobody must believe. */
  readonly forged: readonly [string, ...string[]];
  /** Names of tokens that may administer; empty: of this one nobody may. */
  readonly administrators: readonly string[];
  /** Values of parameters of that name: `id`, `backend`, and so on; most are places. */
  readonly known: Readonly<Record<string, readonly [string, ...string[]]>>;
  /** Whether the target can be sent what is no HTTP. */
  readonly isRaw: boolean;
}

type Header = readonly [string, string];
const FORM = "application/x-www-form-urlencoded";
const CONTENT_TYPES: readonly [string, ...string[]] = [
  "application/json",
  FORM,
  "application/json; charset=utf-8",
  "application/json; charset=utf-16",
  "application/json, text/plain",
  "application/jsonp",
  "text/plain",
  "multipart/form-data; boundary=x",
  `${FORM}; charset=utf-7`,
  "application/xml",
  ";",
  "",
];
const METHODS: readonly [string, ...string[]] = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "QUERY",
  "get",
  "PROPFIND",
  "X",
];
const TOKEN_TYPES: readonly [string, string, ...string[]] = [
  "urn:ietf:params:oauth:token-type:jwt",
  "urn:ietf:params:oauth:token-type:access_token",
  "urn:ietf:params:oauth:token-type:id_token",
  "urn:ietf:params:oauth:token-type:refresh_token",
];
const ODD_HEADERS: readonly [Header, ...Header[]] = [
  ["Idempotency-Key", "key-1"],
  ["Idempotency-Key", "a,b"],
  ["Idempotency-Key", "\u00ff".repeat(300)],
  ["If-Match", '"1"'],
  ["If-Match", "*"],
  ["If-Match", 'W/"x", "y'],
  ["If-None-Match", "*"],
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ["traceparent", "ff-0-0-zz"],
  ["X-Forwarded-For", "127.0.0.1, 10.0.0.1"],
  ["X-Forwarded-For", "' OR 1=1"],
  ["X-Forwarded-Host", "evil.test"],
  ["X-HTTP-Method-Override", "DELETE"],
  ["X-Original-URL", "/v1/policies"],
  ["Forwarded", "for=127.0.0.1;host=x"],
  ["Content-Encoding", "gzip"],
  ["Accept", "text/html;q=0.1, */*;q=0"],
  ["Accept", "\u00e4\u00f6"],
  ["Range", "bytes=0-1,5-"],
  ["Cookie", "a=b; __Host-admin=1"],
  ["DPoP", "x.y.z"],
  ["Origin", "https://evil.test"],
  ["Transfer-Encoding", "identity"],
  ["Content-Length", "-1"],
  ["Expect", "100-continue"],
  ["Upgrade", "h2c"],
  ["Connection", "Upgrade, close"],
  ["X-Long", "x".repeat(40_000)],
];

/** A request as the schemas have it, or some steps away from one. */
export function makeRequest(of: Ingredients, draw: Draw): FuzzRequest {
  const operation = chosen(of.api, draw);
  const method = draw.chance(0.02) ? draw.of(METHODS) : operation.method;
  const wire: Wire = of.isRaw && draw.chance(0.08) ? draw.of(WIRES) : "plain";
  const body = bodyOf(of, operation, draw);
  return {
    method,
    path: pathOf(of, operation, draw),
    headers: headersOf(of, operation, body !== null, draw),
    body,
    ...(body !== null && draw.chance(0.03) ? { spoiled: spoiling(draw) } : {}),
    ...(wire === "plain" ? {} : { wire }),
  };
}

/** The token endpoint has a third of all. */
function chosen({ operations }: ApiDocument, draw: Draw): ApiOperation {
  const token = operations.find(({ path }) => path === "/token");
  const [first, ...rest] = operations;
  if (first === undefined || token === undefined) throw new Error("there is no token endpoint");
  return draw.chance(1 / 3) ? token : draw.of([first, ...rest]);
}

const spoiling = (draw: Draw): NonNullable<FuzzRequest["spoiled"]> => ({
  at: draw.whole(0, 2000),
  bytes: draw.of([[0], [0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc3]]),
});

function pathOf(of: Ingredients, operation: ApiOperation, draw: Draw): string {
  const { parameters } = operation;
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const known = of.known[name === "id" ? ownerOf(operation.path) : name];
    const value =
      known !== undefined && draw.chance(0.7)
        ? draw.of(known)
        : of.corpus.parameter(operation, name, draw);
    if (draw.chance(0.08)) return percented(draw.of(STRANGE_TEXTS), draw);
    return draw.chance(0.05) ? percented(mutatedText(value, draw), draw) : value;
  });
  const query = parameters
    .filter((one) => one.in === "query" && draw.chance(0.3))
    .flatMap(({ name }) => queryOf(of, operation, name, draw));
  if (draw.chance(0.04)) query.push(`${percented(draw.of(STRANGE_NAMES), draw)}=1`);
  const whole = query.length === 0 ? path : `${path}?${query.join("&")}`;
  if (!draw.chance(0.03)) return whole;
  return draw.of([
    `${path}/`,
    `/${path}`,
    path.toUpperCase(),
    `/.${path}`,
    `/x/..${path}`,
    `${path}%00`,
    `${path};a=b`,
    `${path}?${"a=1&".repeat(500)}`,
    `/${"a".repeat(9000)}`,
    `${path}?%`,
    `${path}#x`,
  ]);
}

/** Whose id a path has: `/v1/leases/{id}/renew` a lease's. */
const ownerOf = (path: string): string => (path.startsWith("/v1/leases/") ? "lease" : "task");

function queryOf(of: Ingredients, operation: ApiOperation, name: string, draw: Draw): string[] {
  const known = of.known[name];
  const usual =
    known !== undefined && draw.chance(0.5)
      ? draw.of(known)
      : of.corpus.parameter(operation, name, draw);
  const value = draw.chance(0.25) ? mutatedText(usual, draw) : usual;
  const pair = `${name}=${percented(value, draw)}`;
  return draw.chance(0.03) ? [pair, pair] : [pair];
}

/** Percent-encoded, now and then wrongly. */
function percented(text: string, draw: Draw): string {
  const encoded = text.isWellFormed() ? encodeURIComponent(text) : "%ED%A0%80";
  const short = encoded.slice(0, 9000);
  return draw.chance(0.05) ? short + draw.of(["%", "%zz", "%c0%af", "%u0041", "+"]) : short;
}

function bodyOf(of: Ingredients, operation: ApiOperation, draw: Draw): string | null {
  if (operation.body === null) return draw.chance(0.02) ? "{}" : null;
  const usual = of.corpus.body(operation, draw);
  if (operation.body.mediaType === FORM) return formOf(of, usual, draw);
  const text = JSON.stringify(changed(usual, draw));
  return draw.chance(0.08) ? damagedJson(text, draw) : text;
}

/** Half of all as they are: what lies behind the parser is to be reached too. */
function changed(value: Json, draw: Draw): Json {
  let result = value;
  while (draw.chance(0.4)) result = mutated(result, draw);
  return result;
}

function formOf(of: Ingredients, usual: Json, draw: Draw): string {
  // What lies behind the parser is to be reached too.
  if ("token" in objectOf(usual)) return tokenFormOf(of, usual, draw);
  if (draw.chance(0.4)) return soundForm(of, usual, draw);
  const form = new URLSearchParams();
  const token = (): string => tokenOf(of, draw);
  for (const [name, value] of Object.entries(objectOf(usual))) {
    if (draw.chance(0.02)) continue;
    form.append(name, draw.chance(0.03) ? mutatedText(textOf(value), draw) : textOf(value));
    if (draw.chance(0.01)) form.append(name, textOf(value));
  }
  const subject = token();
  form.set("subject_token", draw.chance(0.95) ? subject : textOf(strangeValue(draw)));
  const [jwt, own] = TOKEN_TYPES;
  const fitting = subject.includes("task-token") ? own : jwt;
  form.set("subject_token_type", draw.chance(0.9) ? fitting : draw.of(TOKEN_TYPES));
  if (draw.chance(0.93)) {
    form.delete("audience");
    form.delete("resource");
    form.delete("scope");
  }
  if (!form.has("actor_token") || draw.chance(0.9)) {
    form.delete("actor_token");
    form.delete("actor_token_type");
  } else {
    form.set("actor_token", token());
  }
  const details = JSON.stringify(changed(detailsOf(of, objectOf(usual), draw), draw));
  form.set("authorization_details", draw.chance(0.05) ? damagedJson(details, draw) : details);
  const text = form.toString();
  if (!draw.chance(0.05)) return text;
  return draw.of([
    `${text}&%=`,
    `${text}&a=%ff`,
    `${text}&=x&&`,
    text.replaceAll("&", ";"),
    text.slice(0, draw.whole(0, text.length)),
    `${text}&${"x=1&".repeat(2000)}`,
    `${text}&pad=${"x".repeat(120_000)}`,
  ]);
}

/** Of introspection and revocation: mostly with a token that says something. */
function tokenFormOf(of: Ingredients, usual: Json, draw: Draw): string {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(objectOf(usual))) {
    form.append(name, draw.chance(0.1) ? mutatedText(textOf(value), draw) : textOf(value));
  }
  if (draw.chance(0.8)) form.set("token", tokenOf(of, draw));
  if (draw.chance(0.5)) form.set("client_assertion", tokenOf(of, draw));
  if (draw.chance(0.6)) {
    for (const name of ["client_assertion", "client_assertion_type", "client_id"]) {
      form.delete(name);
    }
  }
  return form.toString();
}

/** A form of which at most the task is not as it should be. */
function soundForm(of: Ingredients, usual: Json, draw: Draw): string {
  const [jwt, own] = TOKEN_TYPES;
  const subject = tokenOf(of, draw);
  const details = draw.chance(0.5) ? detailsOf(of, objectOf(usual), draw) : [soundTask(of, draw)];
  return new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: subject,
    subject_token_type: subject.includes("task-token") ? own : jwt,
    authorization_details: JSON.stringify(draw.chance(0.5) ? details : mutated(details, draw)),
  }).toString();
}

const NO_TASK: readonly [string] = ["task_x"];
const NO_ROLE: readonly [string] = ["a/b"];

const soundTask = ({ known }: Ingredients, draw: Draw): Json => ({
  type: "mayfly-task",
  goal: draw.chance(0.7) ? "work" : draw.of(STRANGE_TEXTS),
  deadline: "10m",
  ...(draw.chance(0.2) ? { ref: draw.of(STRANGE_TEXTS) } : {}),
  ...(draw.chance(0.2) ? { targets: [`orders-db:${draw.of(STRANGE_TEXTS)}`] } : {}),
  ...(draw.chance(0.2) ? { parent: draw.of(known["task"] ?? NO_TASK) } : {}),
  credentials: Array.from({ length: draw.whole(0, 2) }, () => ({
    role: draw.of(known["role"] ?? NO_ROLE),
    ...(draw.chance(0.3) ? { issue: "later" } : {}),
  })),
});

/** The usual ones, drawing on tasks and roles that exist. */
function detailsOf(of: Ingredients, form: JsonObject, draw: Draw): Json {
  const details = form["authorization_details"] ?? [];
  if (!Array.isArray(details)) return details;
  return details.map((one: Json) => {
    const detail = { ...objectOf(one) };
    const { task = NO_TASK, role = NO_ROLE } = of.known;
    if ("task" in detail && draw.chance(0.8)) detail["task"] = draw.of(task);
    if ("parent" in detail) {
      if (draw.chance(0.7)) delete detail["parent"];
      else detail["parent"] = draw.of(task);
    }
    if ("deadline" in detail && draw.chance(0.7)) detail["deadline"] = "10m";
    if (draw.chance(0.5)) delete detail["initiator"];
    if (draw.chance(0.8)) {
      detail["credentials"] = [{ role: draw.of(role), ...(draw.chance(0.3) ? { ttl: "5m" } : {}) }];
    }
    return detail;
  });
}

function headersOf(
  of: Ingredients,
  { body }: ApiOperation,
  hasBody: boolean,
  draw: Draw,
): readonly Header[] {
  const headers: Header[] = [];
  const authorization = authorizationOf(of, draw);
  if (authorization !== null) headers.push(["Authorization", authorization]);
  if (hasBody) {
    const usual = body?.mediaType ?? "application/json";
    headers.push(["Content-Type", draw.chance(0.95) ? usual : draw.of(CONTENT_TYPES)]);
  }
  while (draw.chance(0.12)) headers.push(draw.of(ODD_HEADERS));
  if (draw.chance(0.01)) {
    const again = headers[draw.whole(0, headers.length - 1)];
    if (again !== undefined) headers.push(again);
  }
  return headers;
}

const tokenOf = ({ tokens, forged }: Ingredients, draw: Draw): string =>
  place(draw.of(draw.chance(0.75) ? tokens : forged));

function authorizationOf(of: Ingredients, draw: Draw): string | null {
  const [administrator] = of.administrators;
  if (administrator !== undefined && draw.chance(0.8)) return `Bearer ${place(administrator)}`;
  const token = tokenOf(of, draw);
  if (draw.chance(0.85)) return `Bearer ${token}`;
  return draw.of([
    null,
    null,
    `bearer ${token}`,
    `Bearer  ${token}`,
    `Bearer ${token} x`,
    `Bearer ${token}, Bearer ${token}`,
    `Basic ${Buffer.from("admin:admin").toString("base64")}`,
    "Bearer",
    `Bearer ${"a".repeat(20_000)}`,
    `DPoP ${token}`,
    "Bearer null",
  ]);
}

const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));
