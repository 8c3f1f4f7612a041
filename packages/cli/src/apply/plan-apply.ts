import { z } from "zod";
import type { Json, JsonObject, PolicySource } from "@mayfly/spec";
import { problemError } from "../api/problem-error.ts";
import { readAnswer } from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import type { CliError } from "../cli-error.ts";
import { pathOfPlace, type YamlDocument } from "../files/yaml-file.ts";
import { atPlace } from "./at-place.ts";
import type { DesiredObject } from "./desired-objects.ts";
import { chunks, planBackends } from "./plan-backends.ts";

const plannedAnswer = z.object({
  kind: z.string(),
  name: z.string(),
  result: z.enum(["created", "updated", "unchanged", "refused"]),
  changes: z.array(
    z.object({ path: z.string(), from: z.json(), to: z.json(), secret: z.boolean() }),
  ),
  /** Older brokers do not tell. */
  tag: z.string().nullable().optional(),
  error: z.record(z.string(), z.unknown()).nullable(),
  /** Of policies, both; older brokers do not tell. */
  locks_out_caller: z.boolean().optional(),
  warnings: z
    .array(
      z.object({
        source: z.string(),
        policy: z.string().nullable(),
        message: z.string(),
        line: z.number().nullable(),
      }),
    )
    .optional(),
});
const planAnswer = z.object({ objects: z.array(plannedAnswer) });
type PlannedAnswer = z.output<typeof plannedAnswer>;

export interface FieldChange {
  readonly path: string;
  readonly from: Json;
  readonly to: Json;
  readonly secret: boolean;
  /** Where a text comes from that a file names by reference: `env:NAME`. */
  readonly reference: string | null;
}

/** What the broker says that putting one object would do. */
export interface PlannedPut {
  readonly desired: DesiredObject;
  readonly result: "created" | "updated" | "unchanged" | "refused";
  readonly changes: readonly FieldChange[];
  readonly error: CliError | null;
  /** Of the put: that what is there is still what the plan was made from. */
  readonly precondition: Readonly<Record<string, string>>;
}

/** Of one call, which is bounded in time. */
const TRUST_A_CALL = 100;
const SERVERS_A_CALL = 100;

/** Asks the broker what would change, object by object. Nothing is written. */
export async function planObjects(
  api: Pick<BrokerApi, "send" | "url">,
  objects: ReadonlyMap<DesiredObject, JsonObject>,
): Promise<readonly PlannedPut[]> {
  const of = (kind: DesiredObject["kind"]): readonly DesiredObject[] =>
    [...objects.keys()].filter((each) => each.kind === kind);
  const bodies = (some: readonly DesiredObject[]): readonly JsonObject[] =>
    some.map((each) => objects.get(each) ?? {});
  const planned: PlannedPut[] = [];
  for (const some of chunks(of("trust"), TRUST_A_CALL)) {
    planned.push(...(await ask(api, some, { trust: bodies(some) })));
  }
  planned.push(...(await planBackends((some, body) => ask(api, some, body), objects)));
  for (const some of chunks(of("resource_server"), SERVERS_A_CALL)) {
    planned.push(...(await ask(api, some, { resource_servers: bodies(some) })));
  }
  const order = ["trust", "backend", "role", "resource_server"];
  return planned.toSorted((a, b) => order.indexOf(a.desired.kind) - order.indexOf(b.desired.kind));
}

/** What activating policies would do. */
export interface PlannedActivation {
  readonly changes: boolean;
  /** To be told before a yes: whoever says it could not take it back. */
  readonly warning: string | null;
  /** What may mean more than was meant: a line each, by source. */
  readonly doubts: ReadonlyMap<string, readonly string[]>;
}

/** Asks what activating these would do; throws why it would be refused. */
export async function planActivation(
  api: Pick<BrokerApi, "send" | "url">,
  sources: readonly PolicySource[],
): Promise<PlannedActivation> {
  const body = { policies: { sources: sources.map(({ name, text }) => ({ name, text })) } };
  const { objects } = readAnswer(planAnswer, await api.send("POST", "/v1/plan", body));
  const [error] = objects.flatMap((each) => (each.error === null ? [] : [each.error]));
  if (error !== undefined) throw brokerError(error, api.url);
  const doubts = Map.groupBy(
    objects.flatMap(({ warnings }) => warnings ?? []),
    ({ source: name }) => name,
  );
  return {
    changes: objects.some(({ result }) => result !== "unchanged"),
    warning: objects.some((each) => each.locks_out_caller === true) ? LOCKS_OUT : null,
    doubts: new Map([...doubts].map(([name, warnings]) => [name, warnings.map(doubtText)])),
  };
}

const doubtText = (warning: NonNullable<PlannedAnswer["warnings"]>[number]): string => {
  const { policy, message, line } = warning;
  const place = line === null ? "" : `line ${line}, `;
  return `WARNING: ${place}${policy === null ? "" : `${policy}: `}${message}`;
};

const LOCKS_OUT =
  "WARNING: under these policies you may activate no others. Only another administrator, or the " +
  "bootstrap token, can take it back.";

function brokerError(error: Readonly<Record<string, unknown>>, url: string): CliError {
  const status = error["status"];
  return problemError(typeof status === "number" ? status : 422, error, url);
}

/** The answer has the objects in the order of the question. */
async function ask(
  api: Pick<BrokerApi, "send" | "url">,
  objects: readonly DesiredObject[],
  body: JsonObject,
): Promise<readonly PlannedPut[]> {
  const answer = readAnswer(planAnswer, await api.send("POST", "/v1/plan", body));
  return objects.map((desired, at): PlannedPut => {
    const planned = answer.objects[at];
    if (planned === undefined) return readAnswer(z.never(), answer);
    return {
      desired,
      result: planned.result,
      changes: planned.changes.map((change) => ({
        ...change,
        reference: desired.references.get(change.path.replace(/^config\./, "")) ?? null,
      })),
      error: errorOf(planned, desired.document, api.url),
      precondition: preconditionOf(planned.tag),
    };
  });
}

/** Undefined: an older broker does not tell. */
export function preconditionOf(tag: string | null | undefined): Readonly<Record<string, string>> {
  if (tag === undefined) return {};
  return tag === null ? { "if-none-match": "*" } : { "if-match": `"${tag}"` };
}

/** The broker's words, with file, line and column of what it complains about. */
function errorOf(planned: PlannedAnswer, document: YamlDocument, url: string): CliError | null {
  if (planned.error === null) return null;
  const error = brokerError(planned.error, url);
  const where = (error.parts.where ?? "").replace(/^(role|trust|resource_server|body)\./, "");
  return atPlace(error, document.placeOf(pathOfPlace(where)));
}
