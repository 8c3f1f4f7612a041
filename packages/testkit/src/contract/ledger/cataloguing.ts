import { describe, expect, test } from "vitest";
import {
  BrokerError,
  NO_TERMS,
  parseBackendId,
  parseRoleName,
  parseTrustRootName,
  type ChangeTerms,
  type TrustRoot,
} from "@mayfly/spec";
import {
  activeLease,
  ADMIN,
  backendRecord,
  claimOne,
  endTask,
  eventKinds,
  mintId,
  refusedWith,
  registerBackend,
  reservationOf,
  roleRecord,
  sha256,
  unique,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const unchanged = (tag: string): ChangeTerms => ({
  ...NO_TERMS,
  precondition: { kind: "unchanged", tags: [tag] },
});

/** What platform teams register. */
export function describeCataloguing(ledgerOf: () => LedgerUnderTest): void {
  const changes = async (ledger: LedgerUnderTest): Promise<[number, number]> => {
    const kinds = await eventKinds(ledger, {});
    const registered = kinds.filter((kind) => /^(backend|role|trust|policies)\./.test(kind));
    return [await ledger.catalog.version(), registered.length];
  };

  describe("the catalogue", () => {
    test("K1 K2. each change is an event and raises the version by one", async () => {
      const ledger = ledgerOf();
      const id = parseBackendId(unique("db"), "id");
      const role = roleRecord(parseRoleName(`${id}/reader`, "role"), id);
      const root = {
        name: parseTrustRootName(unique("acme"), "name"),
        kind: "spiffe" as const,
        config: { trust_domain: `${unique("acme")}.test` },
        enabled: true,
      };
      const { catalog } = ledger;
      const bundle = { digest: sha256(), sources: [{ name: "a.cedar", text: "permit(…);" }] };
      const steps: readonly (() => Promise<unknown>)[] = [
        () => catalog.putBackend(backendRecord(id), ADMIN),
        () => catalog.putBackend(backendRecord(id, { revision: 2, enabled: false }), ADMIN),
        () => catalog.setBackendEnabled(id, true, ADMIN),
        () => catalog.putRole(role, ADMIN),
        () => catalog.putRole({ ...role, description: "Read orders and invoices" }, ADMIN),
        () => catalog.setRoleEnabled(role.name, false, ADMIN),
        () => catalog.putTrustRoot(root, ADMIN),
        () => catalog.setTrustRootEnabled(root.name, false, ADMIN),
        () => catalog.activatePolicies(bundle, ADMIN),
        () => catalog.deleteTrustRoot(root.name, ADMIN),
        () => catalog.deleteRole(role.name, ADMIN),
        () => catalog.deleteBackend(id, ADMIN),
      ];
      for (const step of steps) {
        const [version, events] = await changes(ledger);
        await step();
        expect(await changes(ledger)).toEqual([version + 1, events + 1]);
      }
    });

    test("K4. putting what is already there changes nothing", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const id = parseBackendId(unique("db"), "id");
      const role = roleRecord(parseRoleName(`${id}/reader`, "role"), id);
      const root = {
        name: parseTrustRootName(unique("acme"), "name"),
        kind: "oidc" as const,
        config: { issuer: "https://login.acme.test", nested: { b: 1, a: [1, 2] } },
        enabled: true,
      };
      const bundle = { digest: sha256(), sources: [] };
      expect(await catalog.putBackend(backendRecord(id), ADMIN)).toBe("created");
      expect(await catalog.putRole(role, ADMIN)).toBe("created");
      expect(await catalog.putTrustRoot(root, ADMIN)).toBe("created");
      await catalog.activatePolicies(bundle, ADMIN);
      const before = await changes(ledger);
      expect(await catalog.putBackend(backendRecord(id), ADMIN)).toBe("unchanged");
      expect(await catalog.putRole({ ...role }, ADMIN)).toBe("unchanged");
      expect(await catalog.putTrustRoot({ ...root }, ADMIN)).toBe("unchanged");
      expect(await catalog.activatePolicies(bundle, ADMIN)).toBe("unchanged");
      await catalog.setBackendEnabled(id, true, ADMIN);
      expect(await changes(ledger)).toEqual(before);
    });

    test("a snapshot holds what was put, as of one version", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const digest = sha256();
      const sources = [{ name: "a.cedar", text: "// nothing" }];
      await ledger.catalog.activatePolicies({ digest, sources }, ADMIN);
      const snapshot = await ledger.catalog.snapshot();
      expect(snapshot.version).toBe(await ledger.catalog.version());
      const found = snapshot.backends.find((each) => each.id === backend.id)!;
      const { sealedConfig, ...rest } = found;
      const { sealedConfig: given, ...expected } = backendRecord(backend.id);
      expect(rest).toMatchObject(expected);
      expect(Uint8Array.from(sealedConfig)).toEqual(given);
      expect(snapshot.roles.find((each) => each.name === backend.role)).toMatchObject({
        ...roleRecord(backend.role, backend.id),
        revision: 1,
      });
      expect(snapshot.policies).toMatchObject({ digest, sources });
    });

    test("a configuration stays readable at each revision, and revisions have no gap", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const { id } = await registerBackend(ledger);
      const second = backendRecord(id, { revision: 2, sealedConfig: Uint8Array.of(2) });
      expect(await catalog.putBackend(second, ADMIN)).toBe("updated");
      const at = async (revision: number) =>
        Uint8Array.from((await catalog.backendAt(id, revision))!.sealedConfig);
      expect(await at(1)).toEqual(backendRecord(id).sealedConfig);
      expect(await at(2)).toEqual(Uint8Array.of(2));
      expect(await catalog.backendAt(id, 3)).toBeNull();
      const skipped = backendRecord(id, { revision: 5 });
      const refused = await refusedWith("conflict", catalog.putBackend(skipped, ADMIN));
      expect(refused.public).toMatchObject({ next_revision: 3 });
      await catalog.deleteRole(parseRoleName(`${id}/reader`, "role"), ADMIN);
      await catalog.deleteBackend(id, ADMIN);
      expect(await at(2)).toEqual(Uint8Array.of(2));
      const anew = await refusedWith("conflict", catalog.putBackend(backendRecord(id), ADMIN));
      expect(anew.public).toMatchObject({ next_revision: 3 });
      expect(await catalog.putBackend(backendRecord(id, { revision: 3 }), ADMIN)).toBe("created");
    });

    test("K3. a backend with live leases is not deleted and keeps its upstream identity", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      await catalog.deleteRole(backend.role, ADMIN);
      const moved = backendRecord(backend.id, { revision: 2, upstreamIdentity: "system-8" });
      const before = await catalog.version();
      await refusedWith("conflict", catalog.deleteBackend(backend.id, ADMIN));
      await refusedWith("conflict", catalog.putBackend(moved, ADMIN));
      expect(await catalog.version()).toBe(before);
      await endTask(ledger, task.id);
      const claim = await claimOne(ledger, backend);
      await ledger.sweep.settle(claim, { kind: "ended", outcome: "revoked", looked: {} });
      expect(await catalog.putBackend(moved, ADMIN)).toBe("updated");
      await catalog.deleteBackend(backend.id, ADMIN);
      expect((await catalog.snapshot()).backends.some(({ id }) => id === backend.id)).toBe(false);
    });

    test("K3. a refused deletion leaves the backend open to reservations", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      await activeLease(ledger, backend);
      await refusedWith("conflict", ledger.catalog.deleteBackend(backend.id, ADMIN));
      expect((await activeLease(ledger, backend)).lease.state).toBe("active");
    });

    test("a backend with roles is not deleted, and nothing is reserved on a disabled one", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const backend = await registerBackend(ledger);
      await refusedWith("conflict", catalog.deleteBackend(backend.id, ADMIN));
      await catalog.setBackendEnabled(backend.id, false, ADMIN);
      const reservation = await reservationOf(ledger, backend);
      expect(await ledger.issue.reserve(reservation)).toEqual({ kind: "stale_catalog" });
    });

    test("K1. the event names who, the decision, and from which revision to which", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const { id, role: name } = await registerBackend(ledger);
      const decisionId = mintId("decision");
      const terms = { ...NO_TERMS, decisionId };
      const actor = { kind: "administrator", name: "https://login.test#alice" } as const;
      await catalog.putRole({ ...roleRecord(name, id), description: "Other" }, actor, terms);
      await catalog.setRoleEnabled(name, false, actor, terms);
      const page = await ledger.queries.events({ kind: "role.put" }, { limit: 1000, after: null });
      const [change] = page.items.filter(({ decisionId: by }) => by === decisionId);
      expect(change).toMatchObject({ actor, data: { revision: 2, before: 1 } });
      const switches = await ledger.queries.events(
        { kind: "role.disabled" },
        { limit: 1000, after: null },
      );
      expect(switches.items.find(({ decisionId: by }) => by === decisionId)).toMatchObject({
        actor,
        data: { name, revision: 3, before: 2 },
      });
    });

    test("K5. of two rival trust roots that come at once one is a conflict, and not both", async () => {
      const { catalog } = ledgerOf();
      const domain = `${unique("rival")}.test`;
      const rootOf = (name: string): TrustRoot => ({
        name: parseTrustRootName(name, "name"),
        kind: "spiffe",
        config: { trust_domain: domain },
        enabled: true,
      });
      const roots = Array.from({ length: 6 }, () => rootOf(unique("root")));
      const done = await Promise.allSettled(roots.map((root) => catalog.putTrustRoot(root, ADMIN)));
      const refused = done.filter((one) => one.status === "rejected");
      expect(refused.map(({ reason }) => BrokerError.is(reason) && reason.code)).toEqual(
        Array.from({ length: 5 }, () => "conflict"),
      );
      const winner = roots[done.findIndex(({ status }) => status === "fulfilled")]!;
      const other = { ...rootOf(unique("root")), enabled: false };
      await catalog.putTrustRoot(other, ADMIN);
      await refusedWith("conflict", catalog.setTrustRootEnabled(other.name, true, ADMIN));
      await catalog.setTrustRootEnabled(winner.name, false, ADMIN);
      await catalog.setTrustRootEnabled(other.name, true, ADMIN);
    });

    test("K6. of many changes of one revision that come at once one is made", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const { id, role: name } = await registerBackend(ledger);
      const before = await catalog.version();
      const change = (n: number) =>
        catalog.putRole({ ...roleRecord(name, id), description: `By ${n}` }, ADMIN, unchanged("1"));
      const done = await Promise.allSettled([0, 1, 2, 3].map(change));
      const refused = done.filter((one) => one.status === "rejected");
      expect(refused.map(({ reason }) => BrokerError.is(reason) && reason.code)).toEqual(
        Array.from({ length: 3 }, () => "precondition_failed"),
      );
      expect(refused[0]?.reason).toMatchObject({ public: { current_tag: "2" } });
      expect(await catalog.version()).toBe(before + 1);
    });

    test("K6. a precondition that does not hold changes nothing, whatever is changed", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const { id, role: name } = await registerBackend(ledger);
      const root: TrustRoot = {
        name: parseTrustRootName(unique("acme"), "name"),
        kind: "spiffe",
        config: { trust_domain: `${unique("acme")}.test` },
        enabled: true,
      };
      const absent = { ...NO_TERMS, precondition: { kind: "absent" } } as const;
      const present = { ...NO_TERMS, precondition: { kind: "present" } } as const;
      await refusedWith("precondition_failed", catalog.putTrustRoot(root, ADMIN, present));
      await catalog.putTrustRoot(root, ADMIN, absent);
      const bundle = { digest: sha256(), sources: [{ name: "a.cedar", text: "// nothing" }] };
      await catalog.activatePolicies(bundle, ADMIN);
      const stale = unchanged("7");
      const before = await changes(ledger);
      const role = roleRecord(name, id);
      const second = backendRecord(id, { revision: 2 });
      const other = { ...bundle, digest: sha256() };
      for (const attempt of [
        () => catalog.putBackend(second, ADMIN, stale),
        () => catalog.putBackend(second, ADMIN, absent),
        () => catalog.setBackendEnabled(id, false, ADMIN, stale),
        () => catalog.deleteBackend(id, ADMIN, stale),
        () => catalog.putRole({ ...role, description: "x" }, ADMIN, absent),
        () => catalog.setRoleEnabled(name, false, ADMIN, stale),
        () => catalog.deleteRole(name, ADMIN, stale),
        () => catalog.putTrustRoot({ ...root, enabled: false }, ADMIN, absent),
        () => catalog.setTrustRootEnabled(root.name, false, ADMIN, stale),
        () => catalog.deleteTrustRoot(root.name, ADMIN, stale),
        () => catalog.activatePolicies(other, ADMIN, unchanged(sha256())),
      ]) {
        await refusedWith("precondition_failed", attempt());
      }
      expect(await changes(ledger)).toEqual(before);
      await catalog.setBackendEnabled(id, false, ADMIN, unchanged("1"));
      await refusedWith("precondition_failed", catalog.putBackend(second, ADMIN, unchanged("1")));
      await catalog.putBackend(second, ADMIN, unchanged("1-disabled"));
      await catalog.activatePolicies(other, ADMIN, unchanged(bundle.digest));
      await catalog.deleteTrustRoot(root.name, ADMIN, unchanged("1"));
      expect(await catalog.putTrustRoot(root, ADMIN, absent)).toBe("created");
      const again = (await catalog.snapshot()).trustRoots.find((each) => each.name === root.name);
      expect(again?.revision).toBeGreaterThan(1);
    });

    test("policies have a history, and what was active before can be read", async () => {
      const { catalog } = ledgerOf();
      const bundle = (text: string) => ({ digest: sha256(), sources: [{ name: "a.cedar", text }] });
      const [first, second] = [bundle("// one"), bundle("// two")];
      const decisionId = mintId("decision");
      await catalog.activatePolicies(first, ADMIN);
      await catalog.activatePolicies(second, ADMIN, { ...NO_TERMS, decisionId });
      await catalog.activatePolicies(first, ADMIN);
      const history = await catalog.policyHistory(3);
      expect(history.map(({ digest }) => digest)).toEqual([
        first.digest,
        second.digest,
        first.digest,
      ]);
      expect(history[1]).toMatchObject({ before: first.digest, actor: ADMIN, decisionId });
      expect(await catalog.policySources(second.digest)).toEqual(second.sources);
      expect(await catalog.policySources(sha256())).toBeNull();
    });

    test("the last self-check of a backend is kept beside it, without being a change", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const { id } = await registerBackend(ledger);
      expect((await catalog.checks()).get(id)).toBeUndefined();
      const before = await changes(ledger);
      const problems = [{ code: "no_right", what: "It lacks a right.", fix: "Grant it." }];
      const check = {
        upstreamIdentity: "system-7",
        clockSkewMs: 3,
        facts: { major: 18 },
        problems,
      };
      await catalog.recordCheck(id, { revision: 1, outcome: { kind: "answered", check } });
      expect((await catalog.checks()).get(id)).toMatchObject({
        revision: 1,
        outcome: { kind: "answered", check },
      });
      await catalog.recordCheck(id, { revision: 1, outcome: { kind: "failed", error: "No." } });
      const last = (await catalog.checks()).get(id);
      expect(last?.outcome).toEqual({ kind: "failed", error: "No." });
      expect(Math.abs(Number(last?.checkedAt) - ledger.now())).toBeLessThan(60_000);
      expect(await changes(ledger)).toEqual(before);
      const unknown = parseBackendId(unique("db"), "id");
      await catalog.recordCheck(unknown, { revision: 1, outcome: { kind: "failed", error: "" } });
      expect((await catalog.checks()).get(unknown)).toBeUndefined();
    });

    test("what is not there is not found", async () => {
      const { catalog } = ledgerOf();
      const id = parseBackendId(unique("db"), "id");
      const name = parseRoleName(`${id}/reader`, "role");
      await refusedWith("not_found", catalog.putRole(roleRecord(name, id), ADMIN));
      await refusedWith("not_found", catalog.deleteRole(name, ADMIN));
      await refusedWith("not_found", catalog.deleteBackend(id, ADMIN));
      await refusedWith("not_found", catalog.setBackendEnabled(id, true, ADMIN));
      const root = parseTrustRootName(unique("acme"), "name");
      await refusedWith("not_found", catalog.deleteTrustRoot(root, ADMIN));
      await refusedWith("not_found", catalog.setRoleEnabled(name, true, ADMIN));
      await refusedWith("not_found", catalog.setTrustRootEnabled(root, true, ADMIN));
      expect(await catalog.backendAt(id, 1)).toBeNull();
    });
  });
}
