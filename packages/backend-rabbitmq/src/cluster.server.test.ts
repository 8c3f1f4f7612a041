import { once } from "node:events";
import { requireOrExplain, startRabbitmq, type EmbeddedRabbitmq } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import type { Issued } from "@mayfly/spec";
import { backendErrorOf, BackendBench, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rabbitmqBackend } from "./rabbitmq-backend.ts";
import {
  connectWith,
  startRabbitUpstream,
  type RabbitUpstream,
} from "./testing/rabbitmq-upstream.ts";

const program = await requireOrExplain("rabbitmq");

describe.runIf(program !== undefined)(
  "a cluster of two nodes, of which leases use the other",
  () => {
    let upstream: RabbitUpstream;
    let other: EmbeddedRabbitmq;
    let bench: BackendBench;

    beforeAll(async () => {
      upstream = await startRabbitUpstream();
      const joined = await startRabbitmq({ beside: upstream.server.node });
      if (joined.missing !== undefined) throw new TypeError(`${joined.missing} is missing`);
      other = joined;
      const config = Object.assign({}, upstream.config, {
        amqp: { host: other.host, port: other.amqpPort, tls: false },
        call_seconds_max: 2,
      });
      bench = new BackendBench({ backend: rabbitmqBackend }, { ...upstream, config });
    });
    afterAll(async () => {
      await bench?.open.close();
      await other?.stop();
      await upstream?.stop();
    });

    const issue = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
    const revoke = (issued: Issued) => revoking(bench.open).revoke(issued.handle, bench.call());
    const probe = (issued: Issued) => revoking(bench.open).probe(issued.handle, bench.call());

    test("a connection to the other node is seen, and cut", async () => {
      const issued = await issue();
      const connection = await connectWith(issued.material);
      const cut = once(connection, "close");
      expect(await probe(issued)).toMatchObject({
        verdict: "accepted",
        looked: { connections: 1, nodes: 2 },
      });
      await revoke(issued);
      await cut;
      expect(await probe(issued)).toMatchObject({ verdict: "refused", looked: { connections: 0 } });
    });

    test("while the other node is stopped nothing is called revoked, and all is once it is back", async () => {
      const issued = await issue();
      const connection = await connectWith(issued.material);
      const cut = once(connection, "close");
      other.signal("SIGSTOP");
      try {
        expect((await backendErrorOf(revoke(issued))).retry.kind).toBe("after");
        await backendErrorOf(probe(issued));
      } finally {
        other.signal("SIGCONT");
      }
      for (let tries = 0; ; tries++) {
        const outcome = await revoke(issued).catch((error: unknown) => error);
        if (!(outcome instanceof Error)) break;
        if (tries > 60) throw outcome;
        await systemClock.sleep(250);
      }
      await cut;
      expect((await probe(issued)).verdict).toBe("refused");
    });

    test("a node that died is named, since nobody can say what is left on it", async () => {
      const issued = await issue();
      await other.stop();
      for (let tries = 0; ; tries++) {
        const { message } = await backendErrorOf(revoke(issued));
        if (message.includes(`${other.node} does not run`)) break;
        if (tries > 60) throw new Error(message);
        await systemClock.sleep(250);
      }
      expect(await upstream.liveNames()).toEqual([]);
    });
  },
);
