import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import type { BackendError, Issued, OpenBackend } from "@mayfly/spec";
import { startTcpFaultProxy, type TcpFaultProxy } from "@mayfly/testkit";
import { BackendBench, backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { sshBackend } from "./ssh-backend.ts";
import { writeFailingCommand, type FailingCommand } from "./testing/failing-command.ts";
import { playingTheCore, startSshUpstream, type SshUpstream } from "./testing/ssh-upstream.ts";

/** A real sshd whose host has done what it was asked, and whose answer does not arrive whole. */
const sshd = await requireOrExplain("sshd");

describe.runIf(sshd !== undefined)("a host whose answer does not arrive", () => {
  let command: FailingCommand;
  let upstream: SshUpstream;
  let proxy: TcpFaultProxy;
  let bench: BackendBench;
  /** By way of the proxy, as a broker that nobody told of a fault. */
  let open: OpenBackend;
  beforeAll(async () => {
    command = await writeFailingCommand();
    upstream = await startSshUpstream(sshd ?? "", { hostCommand: command.path });
    proxy = await startTcpFaultProxy({ host: "127.0.0.1", port: upstream.port });
    bench = new BackendBench({ backend: playingTheCore(sshBackend) }, upstream);
    open = bench.openAgain(upstream.route?.configAt({ host: "127.0.0.1", port: proxy.port }));
  });
  afterEach(() => command.heal());
  afterAll(async () => {
    await open?.close();
    await bench?.open.close();
    await proxy?.stop();
    await upstream?.stop();
    await command?.[Symbol.asyncDispose]();
  });

  const issue = (): Promise<Issued> => open.issue(bench.plan(300), bench.issueCall());
  /** What the call fails with, of which the connection is lost once the host has acted. */
  async function failureOf(call: Promise<unknown>, isReset: boolean): Promise<BackendError> {
    const failing = backendErrorOf(call);
    await command.acted();
    if (isReset) proxy.reset();
    const error = await failing;
    const whole = inspect(error, { depth: 12, showHidden: true });
    expect(whole).not.toContain("PRIVATE KEY");
    return error;
  }
  const AT = (): string => `SSH host 127.0.0.1:${proxy.port}`;

  test.each([
    ["is lost with the connection", "silent", true, /the connection was lost/],
    ["breaks off in its middle", "half", true, /the connection was lost/],
    ["is an error after the effect", "error", false, /its command failed/],
    ["is none, as its command was killed", "ended", false, /its command (was ended|failed)/],
  ] as const)(
    "and %s: an end is not done by it, and is by the next",
    async (_, fault, isReset, why) => {
      const { material, handle } = await issue();
      expect(await upstream.tryCredential(material)).toBe("accepted");
      await command.fault(fault);
      const ending = revoking(open).revoke(handle, bench.call());
      expect((await failureOf(ending, isReset)).message).toMatch(why);
      // The effect was there, which the broker does not know.
      expect(await upstream.tryCredential(material)).toBe("refused");
      await command.fault(fault);
      const probing = revoking(open).probe(handle, bench.call());
      expect((await failureOf(probing, isReset)).message).toMatch(why);
      await command.heal();
      expect(await revoking(open).revoke(handle, bench.call())).toEqual({ outcome: "refused" });
      expect((await revoking(open).probe(handle, bench.call())).verdict).toBe("refused");
    },
  );

  test("of a look at a credential that lives, nothing is taken for a refusal", async () => {
    const { material, handle } = await issue();
    for (const fault of ["silent", "half", "error", "ended"] as const) {
      await command.fault(fault);
      const isReset = fault === "silent" || fault === "half";
      await failureOf(revoking(open).probe(handle, bench.call()), isReset);
      await command.heal();
    }
    expect((await revoking(open).probe(handle, bench.call())).verdict).toBe("accepted");
    expect(await upstream.tryCredential(material)).toBe("accepted");
  });

  test("and that refuses connections: mints go on, ends are done when it is back", async () => {
    const [one, other] = [await issue(), await issue()];
    await proxy.refuse();
    try {
      const during = await issue();
      expect(await upstream.tryCredential(during.material)).toBe("accepted");
      const failed = await backendErrorOf(revoking(open).revoke(one.handle, bench.call()));
      expect(failed.message).toContain(`${AT()}: it cannot be reached`);
      await backendErrorOf(revoking(open).probe(one.handle, bench.call()));
      expect(await upstream.tryCredential(one.material)).toBe("accepted");
      const { problems } = await open.selfCheck([], bench.call());
      expect(problems.map(({ code }) => code)).toEqual(["host_not_ready"]);
    } finally {
      await proxy.listen();
    }
    await revoking(open).revoke(one.handle, bench.call());
    expect((await revoking(open).probe(one.handle, bench.call())).verdict).toBe("refused");
    expect(await upstream.tryCredential(other.material)).toBe("accepted");
  });
});
