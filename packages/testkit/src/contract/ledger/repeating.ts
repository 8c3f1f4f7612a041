import { describe, expect, test } from "vitest";
import { plusSeconds, type Reservation, type TokenUse } from "@mayfly/spec";
import {
  activation,
  decision,
  openTask,
  refusedWith,
  registerBackend,
  reservationOf,
  reserve,
  sha256,
  unique,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

/** Idempotency keys and one-time tokens. */
export function describeRepeating(ledgerOf: () => LedgerUnderTest): void {
  const newKey = (): NonNullable<Reservation["idempotency"]> => ({
    scopeSha256: sha256(),
    key: unique("key"),
    bodySha256: sha256(),
    seenGeneration: 0,
  });

  describe("idempotency", () => {
    test("a key is on record with its digest, task and generation", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      expect(await ledger.issue.readIdempotent(idempotency)).toBeNull();
      const reservation = await reservationOf(ledger, backend, { reservation: { idempotency } });
      const { task, generation } = await reserve(ledger, reservation);
      expect(generation).toBe(1);
      expect(await ledger.issue.readIdempotent(idempotency)).toEqual({
        bodySha256: idempotency.bodySha256,
        taskId: task.id,
        generation: 1,
      });
      const otherScope = { ...idempotency, scopeSha256: sha256() };
      expect(await ledger.issue.readIdempotent(otherScope)).toBeNull();
    });

    test("the same key with another digest is refused", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      const first = await reservationOf(ledger, backend, { reservation: { idempotency } });
      const { task } = await reserve(ledger, first);
      const other = { ...idempotency, bodySha256: sha256(), seenGeneration: 1 };
      await refusedWith(
        "idempotency_mismatch",
        reserve(
          ledger,
          await reservationOf(ledger, backend, {
            under: task,
            reservation: { idempotency: other },
          }),
        ),
      );
      expect((await ledger.issue.readIdempotent(idempotency))!.generation).toBe(1);
    });

    test("a repeated request reuses the task, ends what lives of the earlier one, and withholds the rest", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      const first = await reservationOf(ledger, backend, {
        leases: 2,
        reservation: { idempotency },
      });
      const { task, leases } = await reserve(ledger, first);
      const [active, reserved] = [leases[0]!, leases[1]!];
      expect((await ledger.issue.activate(active, activation(ledger))).kind).toBe("active");

      const seen = { ...idempotency, seenGeneration: 1 };
      const again = await reservationOf(ledger, backend, {
        under: task,
        reservation: { idempotency: seen },
      });
      const second = await reserve(ledger, again);
      expect(second).toMatchObject({ generation: 2, task: { id: task.id } });
      expect(await ledger.tasks.lease(active.id)).toMatchObject({ state: "ending" });
      expect((await ledger.tasks.lease(reserved.id))!.endRequestedAt).not.toBeNull();
      expect((await ledger.issue.activate(reserved, activation(ledger))).kind).toBe("withheld");
      const newest = await ledger.issue.activate(second.leases[0]!, activation(ledger));
      expect(newest.kind).toBe("active");
    });

    test("of requests with one key that did not see each other, one wins and the others are told", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      const reservations = await Promise.all(
        [1, 2, 3, 4].map(() => reservationOf(ledger, backend, { reservation: { idempotency } })),
      );
      const results = await Promise.all(reservations.map((each) => ledger.issue.reserve(each)));
      expect(results.map((result) => result.kind).toSorted()).toEqual([
        "reserved",
        "stale_idempotency",
        "stale_idempotency",
        "stale_idempotency",
      ]);
      expect((await ledger.issue.readIdempotent(idempotency))!.generation).toBe(1);
    });

    test("a refused request leaves its key unused", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      const limits = { perTask: 0, perWorkload: 0, perRole: 0 };
      const refused = await reservationOf(ledger, backend, {
        reservation: { idempotency, limits },
      });
      await refusedWith("lease_limit", reserve(ledger, refused));
      expect(await ledger.issue.readIdempotent(idempotency)).toBeNull();
    });
  });

  describe("one-time tokens", () => {
    const newToken = (ledger: LedgerUnderTest) => ({
      issuer: "https://login.acme.test",
      jti: unique("jti"),
      expiresAt: plusSeconds(ledger.now(), 300),
    });

    test("a token is accepted once", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const reservation = { oneTime: newToken(ledger) };
      await reserve(ledger, await reservationOf(ledger, backend, { reservation }));
      await refusedWith(
        "replayed",
        reserve(ledger, await reservationOf(ledger, backend, { reservation })),
      );
      const other = { oneTime: { ...reservation.oneTime, issuer: "https://other.test" } };
      const elsewhere = await reservationOf(ledger, backend, { reservation: other });
      expect((await reserve(ledger, elsewhere)).leases).toHaveLength(1);
    });

    test("it is accepted again with the same key, digest and confirmation, and no other", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const idempotency = newKey();
      const oneTime = newToken(ledger);
      const confirmation = "thumbprint";
      const reservation = { idempotency, oneTime, confirmation };
      const { task } = await reserve(ledger, await reservationOf(ledger, backend, { reservation }));
      const seen = { ...idempotency, seenGeneration: 1 };
      const repeat = async (changed: Partial<Reservation>) =>
        reserve(
          ledger,
          await reservationOf(ledger, backend, {
            under: task,
            reservation: { ...reservation, idempotency: seen, ...changed },
          }),
        );
      await refusedWith("replayed", repeat({ confirmation: "another" }));
      await refusedWith("replayed", repeat({ idempotency: null }));
      await refusedWith("replayed", repeat({ idempotency: newKey() }));
      expect((await repeat({})).generation).toBe(2);
    });

    test("a refused request leaves its token unused", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const reservation = { oneTime: newToken(ledger) };
      const limits = { perTask: 0, perWorkload: 0, perRole: 0 };
      const refused = await reservationOf(ledger, backend, {
        reservation: { ...reservation, limits },
      });
      await refusedWith("lease_limit", reserve(ledger, refused));
      const again = await reservationOf(ledger, backend, { reservation });
      expect((await reserve(ledger, again)).leases).toHaveLength(1);
    });

    test("a denied request uses its token up, and only that request may present it again", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const deny = (tokenUse: TokenUse) => {
        const denied = { decision: decision(ledger, null), workload: "w", role: backend.role };
        return ledger.issue.recordDenial({ ...denied, tokenUse });
      };
      const reserveWith = async (reservation: Partial<Reservation>) =>
        reserve(ledger, await reservationOf(ledger, backend, { reservation }));
      const once = { oneTime: newToken(ledger), idempotency: null, confirmation: null };
      await deny(once);
      await refusedWith("replayed", reserveWith({ oneTime: once.oneTime }));
      await refusedWith("replayed", deny(once));
      const idempotency = newKey();
      const keyed = { oneTime: newToken(ledger), idempotency, confirmation: null };
      await deny(keyed);
      await deny(keyed);
      await refusedWith("replayed", deny({ ...keyed, idempotency: newKey() }));
      await refusedWith("replayed", reserveWith({ ...keyed, idempotency: newKey() }));
      expect((await reserveWith({ ...keyed, idempotency })).leases).toHaveLength(1);
    });

    test("a use without a reservation or a denial counts as one, and of many at once one does", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const oneTime = newToken(ledger);
      const uses = Array.from({ length: 8 }, () => ledger.issue.recordTokenUse(oneTime));
      expect((await Promise.all(uses)).filter((isFirst) => isFirst)).toHaveLength(1);
      const reserveWith = async (reservation: Partial<Reservation>) =>
        reserve(ledger, await reservationOf(ledger, backend, { reservation }));
      await refusedWith("replayed", reserveWith({ oneTime }));
      await refusedWith("replayed", reserveWith({ oneTime, idempotency: newKey() }));
      const other = newToken(ledger);
      await reserveWith({ oneTime: other });
      expect(await ledger.issue.recordTokenUse(other)).toBe(false);
      expect(await ledger.issue.recordTokenUse({ ...other, issuer: "https://other.test" })).toBe(
        true,
      );
    });

    test("of two that present it at once, one wins", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const reservation = { oneTime: newToken(ledger) };
      const both = await Promise.all(
        [1, 2].map(() => reservationOf(ledger, backend, { reservation })),
      );
      const outcomes = await Promise.allSettled(both.map((each) => ledger.issue.reserve(each)));
      expect(outcomes.map((outcome) => outcome.status).toSorted()).toEqual([
        "fulfilled",
        "rejected",
      ]);
    });

    test("a task keeps the confirmation key that it was opened with", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger, {}, { confirmation: "jkt" });
      expect((await ledger.tasks.find(task.id))!.confirmation).toBe("jkt");
    });
  });
}
