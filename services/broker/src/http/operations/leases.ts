import { json, jsonBody, text, type Operation } from "../openapi/operation.ts";
import {
  countsAnswer,
  decisionAnswer,
  eventsAnswer,
  leaseAnswer,
  leasesAnswer,
  verifyAnswer,
} from "../schemas/answers.ts";
import { idShape } from "../schemas/shapes.ts";
import {
  endLeaseSchema,
  eventsQuery,
  leasesQuery,
  renewSchema,
  verifySchema,
} from "../schemas/leases.ts";
import { exportQuery } from "../schemas/ledger-export.ts";

const params = { id: idShape("lease") };

export const LEASE_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/leases",
    id: "listLeases",
    tag: "leases",
    summary: "List leases",
    caller: "administrator",
    query: leasesQuery,
    answers: { 200: json("Leases, newest first.", leasesAnswer) },
  },
  {
    method: "get",
    path: "/v1/leases/:id",
    id: "showLease",
    tag: "leases",
    summary: "Show a lease",
    caller: "owner",
    params,
    answers: { 200: json("The lease.", leaseAnswer) },
  },
  {
    method: "post",
    path: "/v1/leases/:id/end",
    id: "endLease",
    tag: "leases",
    summary: "End a lease before its time",
    caller: "owner",
    params,
    body: jsonBody(endLeaseSchema),
    answers: { 200: json("The lease as it is now.", leaseAnswer) },
  },
  {
    method: "post",
    path: "/v1/leases/:id/renew",
    id: "renewLease",
    tag: "leases",
    summary: "Let a lease live longer",
    description: "A new decision under today's policies; needs the task's own token.",
    caller: "owner",
    params,
    body: jsonBody(renewSchema),
    answers: { 200: json("The lease as it is now.", leaseAnswer) },
    errors: ["conflict", "task_ended", "issuing_paused", "backend_rejected"],
  },
];

export const LEDGER_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/events",
    id: "listEvents",
    tag: "ledger",
    summary: "List events",
    caller: "administrator",
    query: eventsQuery,
    answers: { 200: json("Events, oldest first.", eventsAnswer) },
  },
  {
    method: "get",
    path: "/v1/decisions/:id",
    id: "showDecision",
    tag: "ledger",
    summary: "Show a decision",
    caller: "administrator",
    params: { id: idShape("decision") },
    answers: { 200: json("The decision.", decisionAnswer) },
    errors: ["not_found"],
  },
  {
    method: "get",
    path: "/v1/ledger/counts",
    id: "countLedger",
    tag: "ledger",
    summary: "Count what the ledger holds",
    caller: "administrator",
    answers: { 200: json("The counts.", countsAnswer) },
  },
  {
    method: "post",
    path: "/v1/ledger/verify",
    id: "verifyLedger",
    tag: "ledger",
    summary: "Verify the log",
    caller: "administrator",
    body: jsonBody(verifySchema),
    answers: { 200: json("That the chain holds, or where it breaks.", verifyAnswer) },
  },
  {
    method: "get",
    path: "/v1/ledger/export",
    id: "exportLedger",
    tag: "ledger",
    summary: "Export the log",
    description: "`mayfly ledger verify` reads what it answers, without the ledger.",
    caller: "administrator",
    query: exportQuery,
    answers: { 200: text("One entry a line, as JSON.", "application/x-ndjson") },
  },
];
