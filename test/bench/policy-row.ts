import { createPolicyCompiler } from "@mayfly/policy";
import { compareDecisions } from "@mayfly/policy/testing";
import type { AccessRequest, PolicyEngine } from "@mayfly/spec";
import { accessRequest } from "@mayfly/testkit";
import type { BenchRow } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { interleave, median } from "./interleave.ts";

const MANY = 1_000;
const FEW = 20;
/** As platform teams write them: some rules for all, and for each role who may have it and how. */
const PER_ROLE = 5;

/** 1,000 policies against 20, and that slices and remembered answers change no verdict. */
export const POLICY: BenchRow = {
  name: "policy",
  title: "one decision under 1,000 policies against one under 20",
  target: { ratio: 1.5, is: "at_most" },
  run: async (world) => {
    const sides = { many: sideOf(MANY, namedTexts), few: sideOf(FEW, namedTexts) };
    const { ratio, spread, ours, theirs } = await interleave(
      world.rounds,
      async (round) => microseconds(sides.many, world.seconds, round),
      async (round) => microseconds(sides.few, world.seconds, round),
      (a, b) => a / b,
    );
    const { differing, compared, seen } = compareWithCedar(world);
    return {
      ratio,
      spread,
      facts: [
        `a decision on facts that were not seen before: ${median(ours).toFixed(1)} µs under ` +
          `${MANY} policies, ${median(theirs).toFixed(1)} µs under ${FEW}`,
        ...remembered(sides.many),
        ...unscoped(world),
        `${compared} random requests under random sets of ${SIZES.join(", ")} policies: ` +
          `${seen.permit} permits, ${seen.forbidden} forbids, ${seen.failed} failures, ` +
          `${differing} verdicts other than those of cedar-wasm over the whole set`,
      ],
      broken: differing > 0 ? [`${differing} verdicts are not those of cedar-wasm`] : [],
    };
  },
};

interface Side {
  readonly engine: PolicyEngine;
  readonly roles: number;
}

function sideOf(count: number, texts: (count: number) => readonly string[]): Side {
  const text = texts(count).join("\n");
  const compiled = createPolicyCompiler().compile([{ name: "bench.cedar", text }]);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems.slice(0, 3)));
  return { engine: compiled.engine, roles: Math.floor(count / PER_ROLE) - 1 };
}

const CONDITIONS = [
  'principal.subject like "spiffe://acme.test/*"',
  'principal.trust_root == "acme.test" && context.task.deadline_seconds <= 86400',
  'context.grant.contains("member_of=app_reader") && context.ttl_seconds <= 7200',
  'resource.environment == "prod" && context.task.depth <= 3',
] as const;

/** Most name a role; five name none and are in every slice. */
function namedTexts(count: number): readonly string[] {
  return Array.from({ length: count }, (_, n) => {
    const condition = CONDITIONS[n % CONDITIONS.length];
    const role = Math.floor(n / PER_ROLE) - 1;
    const resource = role < 0 ? "resource" : `resource == Role::"orders-db/role${role}"`;
    const effect = n % PER_ROLE === 4 ? "forbid" : "permit";
    const clause = effect === "forbid" ? "context.ttl_seconds > 80000" : condition;
    return `@id("p${n}") ${effect} (principal, action in Action::"credential", ${resource})
when { ${clause} };`;
  });
}

const openTexts = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => {
    const condition = CONDITIONS[n % CONDITIONS.length];
    return `@id("p${n}") permit (principal, action in Action::"credential", resource)
when { ${condition} && principal.subject != "n${n}" };`;
  });

/** Subject, deadline and lifetime differ from one to the next, and policies read them. */
function requestOf(n: number, { roles }: Side, round: number): AccessRequest {
  return accessRequest({
    workload: `spiffe://acme.test/agent/r${round}-${n}`,
    role: `orders-db/role${n % roles}`,
    ttlSeconds: 60 + (n % 7_000),
    task: { deadlineSeconds: 900 + (n % 3_000), depth: n % 4 },
  });
}

const WARM = 2_000;

/** Of one decision: the median of batches of 100. */
function microseconds(side: Side, seconds: number, round: number): number {
  let n = 0;
  const batch = (): number => {
    const requests = Array.from({ length: 100 }, () => requestOf(n++, side, round));
    const from = performance.now();
    for (const request of requests) {
      if (side.engine.decide(request).effect !== "permit") throw new Error("not permitted");
    }
    return ((performance.now() - from) * 1000) / requests.length;
  };
  while (n < WARM) batch();
  const batches: number[] = [];
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) batches.push(batch());
  return median(batches);
}

/** The same facts again, as the renewals and the next tasks of one workload have them. */
function remembered(side: Side): readonly string[] {
  const request = requestOf(0, side, 0);
  const times: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const from = performance.now();
    for (let n = 0; n < 100; n += 1) side.engine.decide(request);
    times.push((performance.now() - from) * 10);
  }
  return [`a decision on facts that were seen before: ${median(times).toFixed(1)} µs`];
}

/** What no slicing can help: a thousand policies that all name nobody and no role. */
function unscoped(world: BenchWorld): readonly string[] {
  const seconds = Math.min(2, world.seconds);
  const many = microseconds({ ...sideOf(MANY, openTexts), roles: 50 }, seconds, -1);
  const few = microseconds({ ...sideOf(FEW, openTexts), roles: 50 }, seconds, -1);
  return [
    `where no policy names an action, a role, a backend or a workload, all are evaluated: ` +
      `${many.toFixed(0)} µs under ${MANY}, ${few.toFixed(0)} µs under ${FEW}`,
  ];
}

const SIZES = [1, 2, 3, 5, 8, 20, 50, 100, 250, 500, 1_000] as const;
const REQUESTS = 100_000;
const SEED = 1_129;

function compareWithCedar(world: BenchWorld) {
  const seen = { permit: 0, deny: 0, forbidden: 0, failed: 0 };
  let differing = 0;
  let compared = 0;
  for (const policies of SIZES) {
    // Three sets of each size but the largest, which take a second to compile.
    const sets = policies > 300 ? 1 : 3;
    for (let set = 0; set < sets; set += 1) {
      const requests = Math.ceil(REQUESTS / SIZES.length / sets);
      const one = compareDecisions({ policies, requests, seed: SEED + set });
      differing += one.differing;
      compared += requests;
      for (const what of ["permit", "deny", "forbidden", "failed"] as const) {
        seen[what] += one.seen[what];
      }
    }
    world.say(
      `${compared} of ${REQUESTS} random requests compared, ${differing} differ, sets of ${policies}`,
    );
  }
  return { seen, differing, compared };
}
