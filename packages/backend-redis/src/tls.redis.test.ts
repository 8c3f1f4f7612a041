import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createTestX509Authority } from "@mayfly/testkit";
import { backendErrorOf } from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { liveUsers } from "./testing/redis-upstream.ts";
import { startRedisServer } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");

describe.runIf(program !== undefined)("a server that is reached by TLS", () => {
  test("is one with a trusted certificate of its name, or nothing is made", async () => {
    const server = await startRedisServer(program ?? "");
    const authority = createTestX509Authority({ clock: systemClock });
    const { pem } = authority.issue({ names: [{ dNSName: "localhost" }] });
    const front = createServer(pem, (client) => {
      const onward = connect(server.port, server.host);
      for (const socket of [client, onward]) socket.on("error", () => undefined);
      client.pipe(onward).pipe(client);
    });
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    const { port } = front.address() as AddressInfo;
    const bench = benchOn([server], configOf([server.port]));
    const openBy = (host: string, more: object) =>
      bench.openAgain({ ...configOf([]), nodes: [{ host, port }], tls: "verify-full", ...more });
    const trusted = { ca: authority.pem };
    for (const open of [
      openBy("localhost", {}),
      openBy("localhost", { ca: createTestX509Authority({ clock: systemClock }).pem }),
      openBy("127.0.0.1", trusted),
    ]) {
      const error = await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
      expect(error.effect).toBe("none");
      await open.close();
    }
    expect(await liveUsers(server)).toEqual([]);
    for (const open of [
      openBy("localhost", trusted),
      openBy("127.0.0.1", { tls: "unsafe_require_unverified" }),
    ]) {
      const issued = await open.issue(bench.plan(), bench.issueCall());
      expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
      await open.close();
    }
    front.close();
    await bench.open.close();
    await server.stop();
  });
});
