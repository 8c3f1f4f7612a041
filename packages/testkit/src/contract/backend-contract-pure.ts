import { describe, expect, test } from "vitest";
import {
  BrokerError,
  InvalidInput,
  instantMs,
  parseInstallationId,
  type InstallationId,
  type IssuePlan,
  type JsonObject,
  type LeaseId,
} from "@mayfly/spec";
import type { BackendContractSubject, ParseCases } from "./backend-contract-subject.ts";
import { CONTRACT_HOLDER, freshLeaseId } from "./backend-bench.ts";

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return new Error("nothing was thrown");
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}

const AT = instantMs(1_800_000_000_000);
const OURS = parseInstallationId("contract", "installation");
const OTHER = parseInstallationId("zzzzzzzz", "installation");

/** C1 to P5: what needs no upstream. */
export function describePureObligations(subject: BackendContractSubject): void {
  describeParsing(subject, "parseConfig", subject.inputs.config);
  describeParsing(subject, "parseRole", subject.inputs.role);
  describeParsing(subject, "parseParams", subject.inputs.params);
  describePlanning(subject);
  describeComparison(subject);

  test("C3. a described configuration shows no secret", () => {
    const { backend, inputs } = subject;
    const config = backend.parseConfig(inputs.config.valid[0]);
    if (subject.selfContained !== undefined && inputs.config.secrets.length === 0) {
      expect(backend.describeConfig(config)).toEqual(config);
      return;
    }
    expect(inputs.config.secrets.length).toBeGreaterThan(0);
    const whole = JSON.stringify(config);
    const shown = JSON.stringify(backend.describeConfig(config));
    for (const secret of inputs.config.secrets) {
      expect(whole).toContain(secret);
      expect(shown).not.toContain(secret);
    }
  });
}

function describeParsing(
  { backend }: BackendContractSubject,
  parse: "parseConfig" | "parseRole" | "parseParams",
  cases: ParseCases,
): void {
  describe(`of ${parse}`, () => {
    test("C1. an unknown key is refused, and the message names it", () => {
      const input = Object.assign({}, cases.valid[0], { surprising_key: 1 });
      const error = thrownBy(() => backend[parse](input));
      expect(error).toBeInstanceOf(InvalidInput);
      expect(String(error)).toContain("surprising_key");
    });
    test.each(cases.bad.map(({ input, names }) => ({ names, input })))(
      "C1. a bad $names is refused by name ($input)",
      ({ names, input }) => {
        const error = thrownBy(() => backend[parse](input));
        expect(BrokerError.is(error) && error.code).toBe("invalid_input");
        expect(String(error)).toContain(names);
      },
    );
    test.each([null, [], "text", 7, undefined].map((input) => ({ input })))(
      "C1. $input is not an object, and refused",
      ({ input }) => {
        expect(thrownBy(() => backend[parse](input))).toBeInstanceOf(InvalidInput);
      },
    );
    test("C2. the normal form parses to itself", () => {
      expect(cases.valid.length).toBeGreaterThan(0);
      for (const valid of cases.valid) {
        const normal = backend[parse](valid);
        expect(backend[parse](normal)).toEqual(normal);
        expect(JSON.parse(JSON.stringify(normal))).toEqual(normal);
      }
    });
  });
}

function planOf(
  { backend, inputs }: BackendContractSubject,
  params: unknown,
  more: {
    readonly leaseId: LeaseId;
    readonly installation?: InstallationId;
    readonly at?: number;
  },
): IssuePlan {
  return backend.plan(
    deepFreeze({
      installation: more.installation ?? OURS,
      leaseId: more.leaseId,
      expiresAt: instantMs(more.at ?? AT),
      role: backend.parseRole(inputs.narrowing.role),
      params: backend.parseParams(params),
      holder: CONTRACT_HOLDER,
    }),
  );
}

function describePlanning(subject: BackendContractSubject): void {
  const { wide, narrow, tooWide } = subject.inputs.narrowing;
  test("P1. the same request gives the same plan, and is left as it was", () => {
    const leaseId = freshLeaseId();
    expect(planOf(subject, wide, { leaseId })).toEqual(planOf(subject, wide, { leaseId }));
  });
  test("P2. a request beyond the role is refused, or there is nothing to ask for", () => {
    if (subject.backend.capabilities.standingSecret === true) {
      expect(subject.backend.paramsSchema["properties"]).toEqual({});
      return;
    }
    expect(tooWide.length).toBeGreaterThan(0);
    for (const params of tooWide) {
      expect(thrownBy(() => planOf(subject, params, { leaseId: freshLeaseId() }))).toBeInstanceOf(
        InvalidInput,
      );
    }
  });
  test("P3. the name comes from installation and lease id alone", () => {
    const [leaseId, another] = [freshLeaseId(), freshLeaseId()];
    const { externalName } = planOf(subject, wide, { leaseId });
    expect(planOf(subject, narrow, { leaseId, at: AT + 5 }).externalName).toBe(externalName);
    expect(planOf(subject, wide, { leaseId: another }).externalName).not.toBe(externalName);
    expect(planOf(subject, wide, { leaseId, installation: OTHER }).externalName).not.toBe(
      externalName,
    );
    expect(planOf(subject, wide, { leaseId }).leaseId).toBe(leaseId);
  });
  test("P4. the plan expires no later than asked", () => {
    const plan = planOf(subject, wide, { leaseId: freshLeaseId() });
    expect(plan.expiresAt).toBeLessThanOrEqual(AT);
  });
}

function describeComparison(subject: BackendContractSubject): void {
  const { backend, inputs } = subject;
  const { wide, narrow } = inputs.narrowing;
  const leaseId = freshLeaseId();
  const outer = (): IssuePlan => planOf(subject, wide, { leaseId });

  test("P5. a plan is within itself, and a narrower one within a wider one", () => {
    expect(backend.isWithin(outer(), outer())).toBe(true);
    expect(backend.isWithin(planOf(subject, narrow, { leaseId: freshLeaseId() }), outer())).toBe(
      true,
    );
  });
  test("P5. a wider or a longer plan is not within", () => {
    const inner = planOf(subject, narrow, { leaseId });
    // Whoever has a standing secret has all of it.
    const isWhole = backend.capabilities.standingSecret === true;
    expect(backend.isWithin(outer(), inner)).toBe(isWhole);
    expect(backend.isWithin(planOf(subject, wide, { leaseId, at: AT + 60_000 }), outer())).toBe(
      false,
    );
  });
  test("P5. what it does not understand is not within", () => {
    const strange: readonly JsonObject[] = [
      {},
      { surprising_key: true },
      { ...outer().grant, surprising_key: true },
    ];
    for (const grant of strange) {
      expect(backend.isWithin({ ...outer(), grant }, outer())).toBe(false);
      expect(backend.isWithin(outer(), { ...outer(), grant })).toBe(false);
    }
  });
}
