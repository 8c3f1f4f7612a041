import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { workloadName, type ImpersonationRequest } from "@mayfly/spec";
import { INITIATOR } from "./impersonation-request.ts";
import { IMPERSONATION_ACTION } from "./schema.ts";

/**
 * Nobody becomes another by a policy that leaves open who, or whom: a permit to impersonate names
 * one workload and one initiator in its head, each with `==`. What its conditions say can only take
 * from that. A forbid may be as wide as its author likes, for it only takes.
 */
export function pairProblems(json: PolicyJson): readonly string[] {
  if (json.effect === "forbid") return [];
  const pair = pairOf(json);
  const open = [
    ...(pair.workload === null ? ["the workload that acts (principal)"] : []),
    ...(actsAlone(json) ? [] : ["the action"]),
    ...(pair.initiator === null ? ["the initiator that it may appear as (resource)"] : []),
  ];
  if (open.length === 0) return [];
  return [
    `A permit to impersonate names ${open.join(" and ")} with ==, and neither with in or is nor ` +
      'by leaving it open. Write permit (principal == Workload::"spiffe://acme.test/agent/bot", ' +
      'action == Action::"impersonate", resource == Initiator::"https://login.acme.test#alice"), ' +
      "one policy for each pair.",
  ];
}

/** Whether the permit is for exactly this pair. */
export function isForPair(json: PolicyJson, request: ImpersonationRequest): boolean {
  const { workload, initiator } = pairOf(json);
  return workload === workloadName(request.workload) && initiator === request.initiator;
}

const pairOf = ({ principal, resource }: PolicyJson) => ({
  workload: namedBy(principal, "Workload"),
  initiator: namedBy(resource, INITIATOR),
});

const actsAlone = ({ action }: PolicyJson): boolean =>
  namedBy(action, "Action") === IMPERSONATION_ACTION;

/** The id that a part of the head names with `==`, of an entity of this type; null otherwise. */
function namedBy(part: PolicyJson["principal" | "action" | "resource"], type: string) {
  if (part.op !== "==" || !("entity" in part)) return null;
  const { entity } = part;
  const uid = "__entity" in entity ? entity.__entity : entity;
  return uid.type === type ? uid.id : null;
}
