import {
  BrokerError,
  plusSeconds,
  type CallContext,
  type CredentialRequest,
  type JsonObject,
  type RegisteredRole,
  type RoleName,
  type SelfCheck,
} from "@mayfly/spec";
import { authorise } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { roleResource } from "../administer/resources.ts";
import { installedType } from "../catalog/open-backends.ts";
import type { CoreParts } from "../core-parts.ts";
import { planCredential, type Target } from "../exchange/plan.ts";
import { mintId } from "../mint-id.ts";
import { selfCheck } from "./self-check.ts";

/** Stands in the sample where the task's subject will. */
const SAMPLE_SUBJECT = "urn:mayfly:sample-subject";

export interface RoleTest {
  readonly role: RegisteredRole;
  /** Of the backend, for this role alone. */
  readonly check: SelfCheck;
  /** What would be asked of the backend for a request without parameters, or why nothing would. */
  readonly sample:
    | { readonly kind: "planned"; readonly grant: JsonObject; readonly ttlSeconds: number }
    | { readonly kind: "needs_params"; readonly why: string };
}

/**
 * Plans a sample and has the backend prove its rights for this role. Mints nothing, and asks no
 * policy whether anybody may have it. Throws `not_found`.
 */
export async function testRole(
  parts: CoreParts,
  name: RoleName,
  by: Author,
  context: CallContext,
): Promise<RoleTest> {
  const view = await parts.catalog.fresh();
  const role = view.roles.get(name) ?? null;
  await authorise(parts, by, { action: "test", resources: [roleResource(view, name, role)] });
  const known = role === null ? undefined : view.backends.get(role.backendId);
  if (role === null || known === undefined) {
    throw new BrokerError("not_found", `There is no role ${name}.`, { where: "role" });
  }
  const { registered } = known;
  const type = installedType(parts.ports, registered.id, registered.type);
  const sample = sampleOf(parts, { role, registered, type });
  const check = await parts.openBackends.use(registered, (open) =>
    selfCheck(parts.ports.clock, registered.id, open, [role.settings], context),
  );
  return { role, check, sample };
}

function sampleOf(parts: CoreParts, target: Target): RoleTest["sample"] {
  const { ports } = parts;
  const now = ports.clock.now();
  const { name, ttlSecondsMax } = target.role;
  const request: CredentialRequest = { role: name, params: {}, ttlSeconds: null, issue: "now" };
  const world = { installation: ports.installation, leaseId: mintId("lease", ports), now };
  const holder = { subject: SAMPLE_SUBJECT, actors: [], confirmation: null };
  const facts = { deadlineAt: plusSeconds(now, ttlSecondsMax), holder };
  try {
    const wanted = { index: 0, request, within: null, mint: false };
    const { plan, ttlSeconds } = planCredential(world, target, facts, wanted);
    return { kind: "planned", grant: plan.grant, ttlSeconds };
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "invalid_task") throw error;
    return { kind: "needs_params", why: error.message };
  }
}
