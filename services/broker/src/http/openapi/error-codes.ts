import { ERROR_CODES, type ErrorCode } from "@mayfly/spec";
import { answersOauth as answersOauthAt, oauthStatus } from "../problem.ts";
import type { Operation } from "./operation.ts";

const EVERY_ROUTE: readonly ErrorCode[] = ["invalid_request", "rate_limited", "busy", "internal"];
/** Of a DPoP proof. */
const PROOF: readonly ErrorCode[] = ["invalid_dpop_proof", "use_dpop_nonce"];
/** An issuer's keys may be out of reach: `backend_unavailable`. */
const WITH_CREDENTIAL: readonly ErrorCode[] = [
  "unauthenticated",
  "invalid_identity",
  ...PROOF,
  "denied",
  "ledger_unavailable",
  "backend_unavailable",
];
const BY_CALLER: Readonly<Record<Operation["caller"], readonly ErrorCode[]>> = {
  anyone: [],
  administrator: WITH_CREDENTIAL,
  owner: [...WITH_CREDENTIAL, "not_found"],
  client: [],
  subject: [...PROOF, "ledger_unavailable"],
};

/** Every code that the operation can answer, in the order of the table of errors. */
export function errorCodesOf(operation: Operation): readonly ErrorCode[] {
  const { caller, params, query, body, errors } = operation;
  const isParsed = params !== undefined || query !== undefined || body?.kind === "json";
  const codes = new Set<ErrorCode>([
    ...EVERY_ROUTE,
    ...BY_CALLER[caller],
    ...(isParsed ? (["invalid_input"] as const) : []),
    ...(body === undefined ? [] : (["too_large"] as const)),
    ...(errors ?? []),
  ]);
  return ALL.filter((code) => codes.has(code));
}
const ALL = Object.keys(ERROR_CODES) as ErrorCode[];

/** OAuth's endpoints answer by RFC 6749 section 5.2, all others by RFC 9457. */
export const answersOauth = (operation: Pick<Operation, "path">): boolean =>
  answersOauthAt(operation.path);

export const statusOf = (operation: Pick<Operation, "path">, code: ErrorCode): number =>
  answersOauth(operation) ? oauthStatus(code) : ERROR_CODES[code].status;
