import { BrokerError, type TaskDescriptor } from "@mayfly/spec";
import { parseTaskDetails } from "../../packages/core/src/descriptor/task-details.ts";
import { parseStrictJson } from "../../services/broker/src/http/strict-json.ts";
import { TOKEN_BODY_BYTES_MAX } from "../../services/broker/src/http/routes/token.ts";
import { checkSame } from "./check-same.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated, type Shape } from "./grown-text.ts";

/** What a task is, as JSON in a form, and as what the JSON says. */
export const descriptorParsers = (): readonly FuzzedParser[] => [authorizationDetails, descriptor];

const isBrokerError = (error: unknown): boolean => BrokerError.is(error);

const DETAILS = [
  '[{"type":"mayfly-task","goal":"pay","deadline":"15m","credentials":[{"role":"a/b"}]}]',
  '[{"type":"mayfly-task","version":1,"goal":"x","ref":"J-1","deadline":900,"idle_timeout":"60s",' +
    '"initiator":"bob","targets":["db:x"],"credentials":[{"role":"a/b","ttl":"5m","issue":"later",' +
    '"params":{"groups":["r"]}}]}]',
  '[{"type":"mayfly-task","task":"task_019977ff-0000-7000-8000-000000000000",' +
    '"credentials":[{"role":"a/b"}]}]',
];

const OPENS = '{"type":"mayfly-task","goal":"pay","deadline":"15m"';
/** Sound or not by one thing alone, which is large. */
const SHAPES: readonly Shape[] = [
  repeated(`${OPENS},"goal":"`, "a", '"}'),
  repeated('{"type":"mayfly-task","deadline":1,"goal":"', "a\u0301", '"}'),
  repeated('{"type":"mayfly-task","deadline":1,"goal":"', "\\ud83e\\udd9f", '"}'),
  repeated('{"type":"mayfly-task","goal":"x","deadline":"', "9", 'm"}'),
  repeated('{"type":"mayfly-task","goal":"x","deadline":', "9", "}"),
  repeated('{"type":"mayfly-task","goal":"x","deadline":0.', "0", "1}"),
  repeated(`${OPENS},"targets":[`, (n) => `"db:t${n}",`, '"db:x"]}'),
  repeated(`${OPENS},"targets":[`, '"db:x",', '"db:x"]}'),
  repeated(`${OPENS},"targets":["`, "d", ':x"]}'),
  repeated(`${OPENS},"credentials":[`, '{"role":"a/b"},', '{"role":"a/b"}]}'),
  repeated(`${OPENS},"credentials":[{"role":"`, "a-", '/b"}]}'),
  repeated(`${OPENS},"credentials":[{"role":"a/b","params":{`, (n) => `"k${n}":${n},`, '"x":0}}]}'),
  repeated(`${OPENS},"credentials":[{"role":"a/b","params":{"a":`, "[", "}}]}"),
  repeated(`${OPENS},`, (n) => `"k${n}":0,`, '"x":0}'),
  repeated(`${OPENS},`, '"ref":"a",', '"ref":"a"}'),
  repeated(`${OPENS},"ref":"`, "J", '"}'),
];

const authorizationDetails = throwingParser({
  name: "authorization_details",
  sound: DETAILS,
  limit: TOKEN_BODY_BYTES_MAX,
  shapes: SHAPES.map((shape) => (size) => `[${shape(size - 2)}]`),
  parse: (text) => parseStrictJson(text, "authorization_details", "invalid_task"),
  isOwn: isBrokerError,
  again: (accepted, text) => {
    checkSame(accepted, JSON.parse(text) as unknown);
    checkSame(parseStrictJson(JSON.stringify(accepted), "x", "invalid_task"), accepted);
  },
});

const LIMITS = { taskSecondsMax: 86_400 };
const descriptor = throwingParser({
  name: "descriptor",
  sound: DETAILS.map((text) => text.slice(1, -1)),
  limit: TOKEN_BODY_BYTES_MAX,
  shapes: SHAPES,
  parse: (text) => {
    const value = parseStrictJson(text, "authorization_details", "invalid_task");
    return { value, details: parseTaskDetails(value, LIMITS) };
  },
  isOwn: isBrokerError,
  again: ({ value, details }) => {
    const anew: unknown = JSON.parse(JSON.stringify(value));
    checkSame(parseTaskDetails(anew, LIMITS), details);
    if (details.kind !== "open") return;
    const reread = parseTaskDetails(writtenAnew(details.descriptor), LIMITS);
    checkSame(reread.kind === "open" ? reread.descriptor : null, details.descriptor);
  },
});

/** What was understood, in the descriptor's own words. */
function writtenAnew(of: TaskDescriptor): unknown {
  const written = {
    type: "mayfly-task",
    version: of.version,
    goal: of.goal,
    ...(of.ref === null ? {} : { ref: of.ref }),
    deadline: of.deadlineSeconds,
    idle_timeout: of.idleTimeoutSeconds,
    ...(of.claimedInitiator === null ? {} : { initiator: of.claimedInitiator }),
    targets: of.targets,
    credentials: of.credentials.map(({ role, params, ttlSeconds, issue }) => ({
      role,
      params,
      ...(ttlSeconds === null ? {} : { ttl: ttlSeconds }),
      issue,
    })),
  };
  return JSON.parse(JSON.stringify(written));
}
