import { json, jsonBody, type Operation } from "../openapi/operation.ts";
import {
  changesAnswer,
  endBySelectorAnswer,
  holdersAnswer,
  lateEndsAnswer,
  policyUseAnswer,
  selectorEndReportAnswer,
  selectorEndsAnswer,
  touchedAnswer,
  traceAnswer,
  workloadExposureAnswer,
} from "../schemas/answers-security.ts";
import {
  changesQuery,
  endBySelectorSchema,
  exposureQuery,
  holdersQuery,
  lateEndsQuery,
  selectorEndsQuery,
  touchedQuery,
  traceSchema,
} from "../schemas/security.ts";
import { idShape } from "../schemas/shapes.ts";

const question = { method: "get", tag: "security", caller: "administrator" } as const;
const ending = { method: "post", tag: "security", caller: "administrator" } as const;

const ENDING =
  "The request is durable before anything ends; members are marked in batches, and it looks again " +
  "until a look finds nothing new, at least for `look`. With `dry_run` it says exactly what would " +
  "end; `expect` takes the digest of that. No policy is asked. A backend, role, trust root or trust " +
  "domain that was never registered is refused unless something is selected by it all the same.";

export const SECURITY_OPERATIONS: readonly Operation[] = [
  {
    ...question,
    path: "/v1/ask/holders",
    id: "askHolders",
    summary: "Who holds what, on whose behalf, by which policy",
    description: "What might still work, unless `exposed` or `state` asks for something else.",
    query: holdersQuery,
    answers: { 200: json("Leases with task, initiator and policy, newest first.", holdersAnswer) },
  },
  {
    ...question,
    path: "/v1/ask/touched",
    id: "askTouched",
    summary: "Everything that a workload touched",
    query: touchedQuery,
    answers: { 200: json("Its leases and denials, newest first.", touchedAnswer) },
  },
  {
    ...question,
    path: "/v1/ask/exposure",
    id: "askExposure",
    summary: "What is exposed if a workload is compromised",
    query: exposureQuery,
    answers: { 200: json("Until when and why, with its live leases.", workloadExposureAnswer) },
  },
  {
    ...question,
    path: "/v1/ask/late",
    id: "askLate",
    summary: "Which leases ended late, or are late now",
    description: "Later than `over` (30 s) after they were due.",
    query: lateEndsQuery,
    answers: { 200: json("How late and why, newest first.", lateEndsAnswer) },
  },
  {
    ...question,
    path: "/v1/ask/policies",
    id: "askPolicies",
    summary: "Which policies never permitted anything",
    answers: { 200: json("Each policy of the active set with its use.", policyUseAnswer) },
  },
  {
    ...question,
    path: "/v1/ask/changes",
    id: "askChanges",
    summary: "What changed in the configuration, and who did it",
    query: changesQuery,
    answers: { 200: json("Events of administration, newest first.", changesAnswer) },
  },
  {
    ...ending,
    path: "/v1/trace",
    id: "trace",
    summary: "Where a leaked string came from",
    description: "Compared by keyed fingerprint, and by the names in it. Kept and logged nowhere.",
    body: jsonBody(traceSchema),
    answers: { 200: json("Leases and tasks, what was tried, what to do.", traceAnswer) },
  },
  {
    ...ending,
    path: "/v1/leases/end",
    id: "endLeases",
    summary: "End leases by selector",
    description: ENDING,
    body: jsonBody(endBySelectorSchema),
    answers: { 200: json("What would end, or what became of each lease.", endBySelectorAnswer) },
    errors: ["conflict"],
  },
  {
    ...ending,
    path: "/v1/tasks/kill",
    id: "killTasks",
    summary: "Kill tasks by selector",
    description: ENDING,
    body: jsonBody(endBySelectorSchema),
    answers: { 200: json("What would end, or what became of each lease.", endBySelectorAnswer) },
    errors: ["conflict"],
  },
  {
    ...question,
    path: "/v1/ends",
    id: "listEnds",
    summary: "List ends by selector",
    query: selectorEndsQuery,
    answers: { 200: json("Ends by selector, newest first.", selectorEndsAnswer) },
  },
  {
    ...question,
    path: "/v1/ends/:id",
    id: "showEnd",
    summary: "What became of an end by selector",
    params: { id: idShape("selectorEnd") },
    query: selectorEndsQuery,
    answers: { 200: json("What is dead and what is dying, as of now.", selectorEndReportAnswer) },
    errors: ["not_found"],
  },
];
