import fc from "fast-check";
import { expect, test } from "vitest";
import { accountSettings, INLINE_CHARACTERS_MAX } from "./account-settings.ts";
import { DOCUMENT_CHARACTERS_MAX, sessionsMax, type DenyDocument } from "./deny-document.ts";
import { planRewrite, type RewriteStep } from "./rewrite-plan.ts";

/** As large as a real document's name makes it. */
const charactersOf = (names: number): number => (names === 0 ? 0 : 150 + names * 37);

const WRITTEN = { writtenAt: null };

/** The inline policies of one role, on which each step of a plan is done by itself. */
class Role {
  readonly documents = new Map<string, DenyDocument>();
  /** Turns until a document is known everywhere. */
  readonly #patience: number;
  #turn = 0;
  constructor(patience = 0) {
    this.#patience = patience;
  }

  isSettled = ({ turn }: DenyDocument): boolean => turn < this.#turn - this.#patience;

  pass(turns: number): void {
    this.#turn += turns;
  }

  /** What a writer would do whose turn begins now. */
  plan(denied: ReadonlySet<string>, room = INLINE_CHARACTERS_MAX) {
    const turn = ++this.#turn;
    const documents = [...this.documents.values()];
    const { isSettled } = this;
    const { steps, isFull } = planRewrite({ documents, denied, room, charactersOf, isSettled });
    return { isFull, steps: steps.map((step, nth) => ({ turn, nth, step })) };
  }

  /** Half of it only, where the writer dies between the write and the deletions. */
  do({ turn, nth, step }: { turn: number; nth: number; step: RewriteStep }, half = false): void {
    if (step.write.length > 0) {
      const policyName = `${turn}-${nth}`;
      const characters = charactersOf(step.write.length);
      this.documents.set(policyName, {
        ...WRITTEN,
        policyName,
        turn,
        names: step.write,
        characters,
      });
    }
    if (half) return;
    for (const policyName of step.remove) this.documents.delete(policyName);
  }

  names(): ReadonlySet<string> {
    return new Set([...this.documents.values()].flatMap(({ names }) => names));
  }
  settledNames(): ReadonlySet<string> {
    const settled = [...this.documents.values()].filter(this.isSettled);
    return new Set(settled.flatMap(({ names }) => names));
  }
  characters(): number {
    return [...this.documents.values()].reduce((sum, each) => sum + each.characters, 0);
  }
}

const settings = accountSettings.parse({
  account_id: "123456789012",
  region: "eu-central-1",
  deny_characters: INLINE_CHARACTERS_MAX,
});
const MOST = sessionsMax(settings);

/** Ends of sessions and their expiries, in any order. */
const history = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("end" as const), count: fc.integer({ min: 1, max: 70 }) }),
    fc.record({
      kind: fc.constant("expire" as const),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      count: fc.integer({ min: 1, max: 90 }),
    }),
  ),
  { minLength: 1, maxLength: 40 },
);

interface World {
  readonly role: Role;
  readonly denied: Set<string>;
  count: number;
}

type Happening =
  | { readonly kind: "end"; readonly count: number }
  | { readonly kind: "expire"; readonly from: number; readonly count: number };

function happen(world: World, event: Happening): void {
  if (event.kind === "end") {
    // No more are out at once than can be denied.
    const room = MOST - world.denied.size;
    for (let left = Math.min(event.count, room); left > 0; left--) {
      world.denied.add(`s${world.count++}`);
    }
    return;
  }
  const all = [...world.denied];
  const from = Math.floor(event.from * all.length);
  for (const name of all.slice(from, from + event.count)) world.denied.delete(name);
}

test("whatever ends and expires, all are denied that have to be, within the room, at each step", () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 0, max: 9 }), (events, patience) => {
      const world: World = { role: new Role(patience), denied: new Set(), count: 0 };
      for (const event of events) {
        const before = new Set(world.role.names());
        happen(world, event);
        const plan = world.role.plan(world.denied);
        expect(plan.isFull, "there is room for as many as may be out").toBe(false);
        const stood = [...world.denied].filter((name) => before.has(name));
        for (const each of plan.steps) {
          const settled = world.role.settledNames();
          world.role.do(each);
          const still = world.role.settledNames();
          const lost = [...world.denied].filter((name) => settled.has(name) && !still.has(name));
          const told = new Set(each.step.unsettled);
          expect(lost.filter((name) => !told.has(name))).toEqual([]);
          expect(stood.filter((name) => !world.role.names().has(name))).toEqual([]);
          expect(world.role.characters()).toBeLessThanOrEqual(INLINE_CHARACTERS_MAX);
        }
        expect([...world.denied].filter((name) => !world.role.names().has(name))).toEqual([]);
      }
    }),
  );
});

test("a writer that was frozen and goes on with an old plan takes no deny away", () => {
  const script = fc.array(
    fc.record({
      events: history,
      freezes: fc.boolean(),
      /** Of frozen writers' steps, so many are done now. */
      thaws: fc.integer({ min: 0, max: 3 }),
      half: fc.boolean(),
    }),
    { minLength: 2, maxLength: 8 },
  );
  fc.assert(
    fc.property(script, (rounds) => {
      const world: World = { role: new Role(), denied: new Set(), count: 0 };
      const frozen: Parameters<Role["do"]>[0][] = [];
      const seen = new Set<string>();
      const check = (): void => {
        const names = world.role.names();
        const lost = [...world.denied].filter((name) => seen.has(name) && !names.has(name));
        expect(lost, "denies that stood and still have to").toEqual([]);
        for (const name of names) seen.add(name);
      };
      for (const { events, freezes, thaws, half } of rounds) {
        for (const event of events) happen(world, event);
        // Room without end: what is late may stand beside what is new.
        const plan = world.role.plan(world.denied, 1_000_000).steps;
        for (const each of plan) {
          if (freezes) frozen.push(each);
          else world.role.do(each);
          check();
        }
        for (const late of frozen.splice(0, thaws)) {
          world.role.do(late, half);
          check();
        }
      }
    }),
  );
});

test("a role that others fill up denies as many as there is room for, and says that it is full", () => {
  const role = new Role();
  const denied = new Set(Array.from({ length: 70 }, (_, nth) => `s${nth}`));
  const full = role.plan(denied, charactersOf(39));
  expect(full.isFull).toBe(true);
  for (const each of full.steps) role.do(each);
  expect(role.names().size).toBe(39);
  const more = role.plan(denied, charactersOf(39) + charactersOf(31));
  expect(more.isFull).toBe(false);
  for (const each of more.steps) role.do(each);
  expect(role.names()).toEqual(denied);
});

test("documents of sessions that have died are deleted, and half empty ones are written anew", () => {
  const role = new Role(5);
  const denied = new Set(Array.from({ length: 120 }, (_, nth) => `s${nth}`));
  const next = (): void => {
    for (const each of role.plan(denied).steps) role.do(each);
  };
  next();
  expect(role.documents.size).toBe(3);
  for (const name of [...denied].slice(20)) denied.delete(name);
  role.pass(5);
  next();
  const copied = role.documents.size;
  expect(copied).toBeGreaterThan(1);
  next();
  expect(role.documents.size, "the copy is not known everywhere yet").toBe(copied);
  role.pass(5);
  next();
  expect([...role.names()].toSorted()).toEqual([...denied].toSorted());
  expect(role.documents.size).toBe(1);
  denied.clear();
  next();
  expect(role.documents.size).toBe(0);
});

test("a further end deletes nothing that is known everywhere, while there is room", () => {
  const role = new Role(20);
  const denied = new Set<string>();
  for (let nth = 0; nth < 25; nth++) {
    denied.add(`s${nth}`);
    const { steps } = role.plan(denied);
    expect(steps.flatMap(({ step }) => [...step.remove, ...step.unsettled])).toEqual([]);
    for (const each of steps) role.do(each);
  }
});

test("a document that somebody changed counts for nobody, and goes once what it was for stands", () => {
  const role = new Role();
  role.documents.set("old", {
    ...WRITTEN,
    policyName: "old",
    turn: -1,
    names: [],
    characters: 90,
  });
  const { steps } = role.plan(new Set(["a"]));
  expect(steps.map(({ step }) => step)).toEqual([
    { write: ["a"], remove: [], unsettled: [] },
    { write: [], remove: ["old"], unsettled: [] },
  ]);
  expect(DOCUMENT_CHARACTERS_MAX).toBeGreaterThanOrEqual(charactersOf(50));
});
