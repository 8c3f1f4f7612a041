import {
  createServer,
  connect as dial,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plusSeconds, uuidOfId } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import type { Ledger } from "./open-ledger.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const {
  activation,
  activeLease,
  refusedWith,
  registerBackend,
  reservationOf,
  reserveLease,
  sha256,
} = ledgerFixtures;

/** A wire to the server that can be cut at the worst moment: COMMIT sent, its answer not heard. */
interface Wire {
  readonly port: number;
  /** Passes the next COMMITs on, so many, and cuts each connection before it is answered. */
  cutAfterCommit(times: number): void;
  /** Cuts before the next COMMIT reaches the server. */
  cutBeforeCommit(): void;
  /** How many connections were cut so far for what they were about to commit. */
  cuts(): number;
  /** Lets nobody through, and cuts whoever is. */
  down(): void;
  close(): Promise<void>;
}

/** COMMIT; or the rows of a statement that is a transaction by itself: its text went before. */
const COMMITS = /\bcommit\b|"fingerprint":|"adding":|"sha256":|"looked":/i;

function openWire(host: string, port: number): Promise<Wire> {
  let after = 0;
  let before = false;
  let cuts = 0;
  let up = true;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    if (!up) {
      client.destroy();
      return;
    }
    const upstream = dial({ host, port });
    let deaf = false;
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        if (!deaf) upstream.destroy();
      });
    }
    client.on("data", (bytes: Buffer) => {
      const commits = COMMITS.test(bytes.toString("latin1"));
      if (commits && before) {
        before = false;
        cuts++;
        cut();
        return;
      }
      if (commits && after > 0) {
        after--;
        cuts++;
        deaf = true;
        upstream.once("data", cut);
        upstream.write(bytes);
        client.destroy();
        return;
      }
      upstream.write(bytes);
    });
    upstream.on("data", (bytes: Buffer) => {
      if (!deaf) client.write(bytes);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        cutAfterCommit: (times) => {
          after = times;
        },
        cutBeforeCommit: () => {
          before = true;
        },
        cuts: () => cuts,
        down: () => {
          up = false;
          for (const socket of sockets) socket.destroy();
        },
        close: () => {
          for (const socket of sockets) socket.destroy();
          return new Promise<void>((done) => {
            server.close(() => done());
          });
        },
      });
    });
  });
}

async function isOnRecord(proof: string): Promise<boolean> {
  const rows = await ledger.superuser`
    SELECT FROM mayfly.used_proofs WHERE sha256 = decode(${proof}, 'hex')`;
  return rows.length === 1;
}

let ledger: TestLedger;
let wire: Wire;
let broker: Ledger;
/** By the wire too, with all the time that a call has. */
let open: (role: "mayfly_broker" | "mayfly_worker") => Promise<Ledger>;
beforeEach(async () => {
  ledger = await createTestLedger();
  const url = new URL(ledger.urlOf("mayfly_broker"));
  wire = await openWire(url.hostname, Number(url.port));
  url.host = `127.0.0.1:${wire.port}`;
  broker = await ledger.open("mayfly_broker", { url: url.href, limits: { callMs: 800 } });
  open = (role) => {
    url.username = role;
    return ledger.open(role, { url: url.href });
  };
});
afterEach(async () => {
  await ledger.close();
  await wire.close();
});

describe("a connection that is lost while committing", () => {
  test("a reservation is then unavailable to its caller; what was written is recovered later", async () => {
    const backend = await registerBackend(ledger.ports);
    const reservation = await reservationOf(ledger.ports, backend, { settleSeconds: 0.01 });
    wire.cutAfterCommit(1);
    const error = await refusedWith("ledger_unavailable", broker.issue.reserve(reservation));
    expect(error.retryAfterSeconds).toBe(1);
    await expect
      .poll(() => ledger.ports.tasks.lease(reservation.leases[0]!.id))
      .toMatchObject({ state: "reserved" });
    const claim = await ledgerFixtures.claimOne(ledger.ports, backend);
    expect(claim.work.kind).toBe("recover");
    expect(wire.cuts()).toBe(1);
  });

  test("so is one that is written in one statement", async () => {
    const backend = await registerBackend(ledger.ports);
    // From then on its role's count is known, and nothing has to be read first.
    await reserveLease({ ...ledger.ports, issue: broker.issue }, backend);
    const reservation = await reservationOf(ledger.ports, backend);
    wire.cutAfterCommit(1);
    await refusedWith("ledger_unavailable", broker.issue.reserve(reservation));
    await expect
      .poll(() => ledger.ports.tasks.lease(reservation.leases[0]!.id))
      .toMatchObject({ state: "reserved" });
    expect(wire.cuts()).toBe(1);
  });

  test("an activation that was written is read again and known", async () => {
    const backend = await registerBackend(ledger.ports);
    const { lease } = await reserveLease(ledger.ports, backend);
    wire.cutAfterCommit(1);
    const result = await broker.issue.activate(lease, activation(ledger.ports));
    expect(result).toMatchObject({ kind: "active", lease: { id: lease.id } });
    const [{ count } = { count: -1 }] = await ledger.superuser<{ count: number }[]>`
      SELECT count(*)::int AS count FROM mayfly.events
      WHERE kind = 'lease.activated' AND lease_id = ${uuidOfId(lease.id)}`;
    expect(count).toBe(1);
    expect(wire.cuts()).toBe(1);
  });

  test("an activation that was not written is written then, once", async () => {
    const backend = await registerBackend(ledger.ports);
    const { lease } = await reserveLease(ledger.ports, backend);
    wire.cutBeforeCommit();
    expect((await broker.issue.activate(lease, activation(ledger.ports))).kind).toBe("active");
    expect((await ledger.ports.tasks.lease(lease.id))?.state).toBe("active");
    expect(wire.cuts()).toBe(1);
  });

  test("an activation of which nothing can be known is unavailable", async () => {
    const backend = await registerBackend(ledger.ports);
    const { lease } = await reserveLease(ledger.ports, backend);
    wire.down();
    await refusedWith("ledger_unavailable", broker.issue.activate(lease, activation(ledger.ports)));
    expect((await ledger.ports.tasks.lease(lease.id))?.state).toBe("reserved");
  });

  test("uses of proofs that nobody heard of count as uses at every other broker", async () => {
    const { proofUses } = await open("mayfly_broker");
    const other = ledger.ports.proofUses;
    const use = () => ({ sha256: sha256(), expiresAt: plusSeconds(ledger.ports.now(), 60) });
    const written = [use(), use(), use()];
    wire.cutAfterCommit(1);
    const told = written.map((each) => refusedWith("ledger_unavailable", proofUses.record(each)));
    await Promise.all(told);
    // What the server has read it writes, though nobody listens.
    const [first] = written;
    await expect.poll(() => isOnRecord(first!.sha256)).toBe(true);
    expect(await Promise.all(written.map((each) => other.record(each)))).toEqual([
      false,
      false,
      false,
    ]);
    const unwritten = use();
    wire.cutBeforeCommit();
    await refusedWith("ledger_unavailable", proofUses.record(unwritten));
    expect(await other.record(unwritten)).toBe(true);
    expect(wire.cuts()).toBe(2);
  });

  test("an end whose record nobody heard of is recorded once, whoever repeats it", async () => {
    const backend = await registerBackend(ledger.ports);
    const { task, lease } = await activeLease(ledger.ports, backend);
    await ledgerFixtures.endTask(ledger.ports, task.id);
    const claim = await ledgerFixtures.claimOne(ledger.ports, backend);
    const outcome = { kind: "ended", outcome: "revoked", looked: { roles: 0 } } as const;
    const worker = await open("mayfly_worker");
    wire.cutAfterCommit(1);
    await refusedWith("ledger_unavailable", worker.sweep.settle(claim, outcome));
    await expect.poll(async () => (await ledger.ports.tasks.lease(lease.id))?.state).toBe("ended");
    expect(await worker.sweep.settle(claim, outcome)).toBe(false);
    expect(await ledger.ports.sweep.settle(claim, outcome)).toBe(false);
    const kinds = await ledgerFixtures.eventKinds(ledger.ports, { leaseId: lease.id });
    expect(kinds.filter((kind) => kind === "lease.ended")).toHaveLength(1);
    expect(wire.cuts()).toBe(1);
  });

  test("G5. every port says that the ledger is unavailable, and works again when it is back", async () => {
    await ledger.superuser`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE usename = 'mayfly_broker' AND datname = current_database()`;
    const task = await ledgerFixtures.openTask(ledger.ports);
    expect(task.state).toBe("active");
    wire.down();
    const page = { limit: 1, after: null };
    for (const call of [
      () => broker.tasks.find(task.id),
      () => broker.tasks.heartbeat(task.id, null),
      () => broker.tasks.applyEnd(task.id),
      () => broker.catalog.snapshot(),
      () => broker.queries.leases({}, page),
      () => broker.queries.taskChain(task.id),
      () => broker.signingKeys.list(),
    ]) {
      await refusedWith("ledger_unavailable", call());
    }
  });
});
