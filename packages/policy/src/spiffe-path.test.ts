import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTrustRootName, type AccessRequest, type AdministrationRequest } from "@mayfly/spec";
import { accessRequest, administration } from "@mayfly/testkit";
import { createPolicyCompiler } from "./index.ts";

const compiler = createPolicyCompiler();
const engineOf = (text: string) => {
  const compiled = compiler.compile([{ name: "a.cedar", text }]);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.engine;
};
const problemsOf = (condition: string): readonly string[] => {
  const text = `@id("a") permit (principal, action, resource) when { ${condition} };`;
  const compiled = compiler.compile([{ name: "a.cedar", text }]);
  return compiled.ok ? [] : compiled.problems.map(({ message }) => message);
};
const permitIf = (condition: string): string =>
  `@id("a") permit (principal, action in Action::"credential", resource) when { ${condition} };`;
const asked = (workload: string): AccessRequest => accessRequest({ workload });

/** A small world, so that ids often share segments, and share text without sharing segments. */
const segment = fc.constantFrom("a", "ab", "abc", "b", "ns", "1", "a.b", "a-");
const domain = fc.constantFrom("acme.test", "acme.test.b", "b");
const segments = fc.array(segment, { minLength: 1, maxLength: 5 });
const idOf = (of: string, path: readonly string[]): string => ["spiffe:/", of, ...path].join("/");
const ids = fc.array(fc.tuple(domain, segments), { minLength: 1, maxLength: 12 });

describe("a path of SPIFFE IDs", () => {
  test("holds who is at it or below it by whole segments, as compared one by one", () => {
    const path = fc.tuple(domain, fc.array(segment, { maxLength: 4 }));
    fc.assert(
      fc.property(path, ids, fc.boolean(), ([of, at], workloads, inScope) => {
        const named = `SpiffePath::"${idOf(of, at)}"`;
        // One engine for all of them, which remembers answers and picks policies by their scope.
        const engine = engineOf(
          inScope
            ? `@id("a") permit (principal in ${named}, action in Action::"credential", resource);
               @id("b") forbid (principal == Workload::"spiffe://x/y", action, resource);`
            : permitIf(`principal in ${named}`),
        );
        for (const [its, below] of workloads) {
          const isWithin = its === of && at.every((each, index) => below[index] === each);
          const { effect } = engine.decide(asked(idOf(its, below)));
          expect([idOf(its, below), effect]).toEqual([
            idOf(its, below),
            isWithin ? "permit" : "deny",
          ]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("with stars for single segments is what the lines of a path say, as compared one by one", () => {
    const pattern = fc.array(fc.option(segment), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(pattern, ids, (wanted, workloads) => {
        const lines = [
          `segments=${wanted.length}`,
          ...wanted.flatMap((each, index) => (each === null ? [] : [`${index + 1}=${each}`])),
        ];
        const engine = engineOf(
          permitIf(`principal.spiffe_path.containsAll(${JSON.stringify(lines)})`),
        );
        for (const [its, path] of workloads) {
          const matches =
            path.length === wanted.length &&
            wanted.every((each, index) => each === null || path[index] === each);
          const { effect } = engine.decide(asked(idOf(its, path)));
          expect([path, effect]).toEqual([path, matches ? "permit" : "deny"]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("holds nobody without a SPIFFE ID, whatever their subject says", () => {
    const engine = engineOf(permitIf('principal in SpiffePath::"spiffe://acme.test"'));
    const id = "spiffe://acme.test/agent/invoice-bot";
    const svid = asked(id);
    expect(engine.decide(svid).effect).toBe("permit");
    const person = { ...svid.workload, kind: "oidc", issuer: "https://login.test" } as const;
    expect(engine.decide({ ...svid, workload: person }).effect).toBe("deny");
    const lines = engineOf(permitIf('principal.spiffe_path.contains("1=agent")'));
    expect(lines.decide(svid).effect).toBe("permit");
    expect(lines.decide({ ...svid, workload: person }).effect).toBe("deny");
  });

  test("counts for administration too", () => {
    const engine = engineOf(
      `@id("a") permit (principal in SpiffePath::"spiffe://acme.test/ops", action in
        Action::"administer", resource) when { principal.spiffe_path.contains("segments=2") };`,
    );
    const by = (subject: string): AdministrationRequest => ({
      ...administration(),
      workload: {
        trustRoot: parseTrustRootName("acme.test", "trust"),
        kind: "spiffe",
        issuer: "spiffe://acme.test",
        subject,
        attributes: {},
      },
    });
    const effectOf = (subject: string) => engine.administer(by(subject)).effect;
    expect(effectOf("spiffe://acme.test/ops/deploy")).toBe("permit");
    expect(effectOf("spiffe://acme.test/ops/deploy/x")).toBe("deny");
    expect(effectOf("spiffe://acme.test/opsy/deploy")).toBe("deny");
  });

  test("of too many segments is stated to nobody: the request is denied as invalid", () => {
    const engine = engineOf(permitIf("true"));
    const deep = (count: number) =>
      engine.decide(
        asked(
          idOf(
            "acme.test",
            Array.from({ length: count }, () => "a"),
          ),
        ),
      );
    expect(deep(64).effect).toBe("permit");
    expect(deep(65)).toMatchObject({ effect: "deny", why: "invalid_request" });
  });

  test.each([
    ['principal in SpiffePath::"spiffe://acme.test/ns/*"', "names no path of SPIFFE IDs"],
    ['principal in SpiffePath::"spiffe://acme.test/ns/"', "names no path of SPIFFE IDs"],
    ['principal in SpiffePath::"acme.test/ns"', "names no path of SPIFFE IDs"],
    ['principal.spiffe_path.contains("payments")', 'never holds "payments"'],
    ['principal.spiffe_path.containsAll(["1=a", "0=b"])', 'never holds "0=b"'],
    ['principal.spiffe_path.containsAny(["1=a/b"])', 'never holds "1=a/b"'],
    ['principal.spiffe_path == ["segments=01"]', 'never holds "segments=01"'],
  ])("is refused where it could never match: %s", (condition, says) => {
    expect(problemsOf(condition)).toEqual([expect.stringContaining(says)]);
  });
});
