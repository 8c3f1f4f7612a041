import { requireOrExplain } from "@mayfly/embedded";
import { BackendError, type Issued } from "@mayfly/spec";
import { revoking, type BackendBench } from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { accountOf, liveUsers, tryLogin } from "./testing/redis-upstream.ts";
import { startRedisServer, until } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");

const issue = (bench: BackendBench): Promise<Issued> =>
  bench.open.issue(bench.plan(), bench.issueCall());
const revoke = (bench: BackendBench, { handle }: Issued) =>
  revoking(bench.open).revoke(handle, bench.call());
const nameOf = ({ material }: Issued): string => accountOf(material)[0];

describe.runIf(program !== undefined)("a server that is killed and starts again", () => {
  test("from its ACL file lets in who was live, and nobody who had ended", async () => {
    const server = await startRedisServer(program ?? "");
    const bench = benchOn([server], configOf([server.port]));
    const [live, ended] = [await issue(bench), await issue(bench)];
    const verdicts = async (): Promise<readonly string[]> => [
      await tryLogin(server, live.material),
      await tryLogin(server, ended.material),
    ];
    expect(await verdicts()).toEqual(["accepted", "accepted"]);
    await revoke(bench, ended);
    await server.restart();
    expect(await liveUsers(server)).toEqual([nameOf(live)]);
    expect(await verdicts()).toEqual(["accepted", "refused"]);
    // As a pass does: over the connection that was lost, a first try may fail.
    await until(() =>
      revoke(bench, live).then(
        ({ outcome }) => outcome === "refused",
        (thrown: unknown) => {
          if (BackendError.isBackendError(thrown)) return false;
          throw thrown;
        },
      ),
    );
    await server.restart();
    expect(await liveUsers(server)).toEqual([]);
    expect(await verdicts()).toEqual(["refused", "refused"]);
    await bench.open.close();
    await server.stop();
  });

  test("without one has forgotten who was live, and who had ended does not come back", async () => {
    const server = await startRedisServer(program ?? "", { aclFile: false });
    const bench = benchOn([server], configOf([server.port]));
    const [live, ended] = [await issue(bench), await issue(bench)];
    await revoke(bench, ended);
    expect(await liveUsers(server)).toEqual([nameOf(live)]);
    await server.restart();
    expect(await liveUsers(server)).toEqual([]);
    expect(await tryLogin(server, live.material)).toBe("refused");
    await bench.open.close();
    await server.stop();
  });
});
