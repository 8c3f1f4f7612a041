import { z } from "zod";
import { backendOfRole, parseRoleName, type JsonObject, type RoleName } from "@mayfly/spec";
import type {
  CredentialPolicyTest,
  PolicyTest,
  PolicyTestCatalogue,
  PolicyTestRole,
} from "@mayfly/policy";
import { backendFile, readRegisteredFile } from "./registered-file.ts";

/** Of a role's file, what policies can see. */
const roleFacts = z.looseObject({
  role: z.string(),
  ttl_max: z.union([z.number(), z.string()]).optional(),
  data_class: z.enum(["public", "internal", "confidential", "restricted"]),
  reversibility: z.enum(["read_only", "reversible", "irreversible"]),
  environment: z.string(),
});

const NO_GRANT: JsonObject = {};
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * The roles that tests may name: those of the files, and any that a test describes whole in its
 * `role_facts`. What a backend would grant is not known here: a test of a policy that reads the
 * grant says it itself.
 */
export function testCatalogue(
  roleFiles: readonly string[],
  backendFiles: readonly string[],
  tests: readonly PolicyTest[],
): PolicyTestCatalogue {
  const types = new Map(
    backendFiles
      .flatMap((file) => readRegisteredFile(file, backendFile))
      .map(({ object }) => [object.backend, object.type]),
  );
  const roles = new Map<RoleName, PolicyTestRole>();
  for (const test of tests) {
    if (test.about !== "credentials") continue;
    const described = roleOfTest(test);
    if (described !== null) roles.set(test.role, described);
  }
  for (const file of roleFiles) {
    for (const { object } of readRegisteredFile(file, roleFacts)) {
      const name = parseRoleName(object.role, `${file}: role`);
      roles.set(name, {
        role: {
          ...namesOf(name),
          backendType: types.get(namesOf(name).backendId) ?? "unknown",
          dataClass: object.data_class,
          reversibility: object.reversibility,
          environment: object.environment,
        },
        ttlSecondsMax: secondsOf(object.ttl_max),
        grant: NO_GRANT,
      });
    }
  }
  return roles;
}

const namesOf = (name: RoleName) => ({ name, backendId: backendOfRole(name) });

function roleOfTest(test: CredentialPolicyTest): PolicyTestRole | null {
  const { backendType, dataClass, reversibility, environment } = test.roleFacts;
  const named = dataClass !== undefined && reversibility !== undefined && environment !== undefined;
  if (!named) return null;
  const facts = { backendType: backendType ?? "unknown", dataClass, reversibility, environment };
  const ttlSecondsMax = test.ttlSeconds ?? test.task.deadlineSeconds;
  return { role: { ...namesOf(test.role), ...facts }, ttlSecondsMax, grant: NO_GRANT };
}

/** Without one, the task's deadline is the ceiling. */
function secondsOf(duration: number | string | undefined): number {
  if (duration === undefined) return Number.MAX_SAFE_INTEGER;
  if (typeof duration === "number") return duration;
  return Number.parseInt(duration, 10) * (UNIT_SECONDS[duration.slice(-1)] ?? 1);
}
