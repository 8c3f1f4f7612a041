import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { DeleteRolePolicyCommand, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { requireOrExplain } from "@mayfly/embedded";
import { systemRandom } from "@mayfly/host";
import { migrate } from "@mayfly/postgres";
import type { Issued, OpenBackend } from "@mayfly/spec";
import { killMint } from "@mayfly/testkit";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { configAt, startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import { LEDGER_URL, openLedgerHost, type LedgerHost } from "./testing/ledger-host.ts";
import { BUCKET } from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");
const MINTS = fileURLToPath(new URL("testing/mint-process.ts", import.meta.url));
const COMPILED = fileURLToPath(new URL("../../../.mayfly/compiled", import.meta.url));
const REVOKES = fileURLToPath(new URL("testing/revoke-process.ts", import.meta.url));

/** So that a turn of a frozen process runs out soon: it is three calls long. */
const QUICK = { call_seconds_max: 1, unsafe_propagation_seconds: 0 };

/** Each starts programs from their sources, which a machine that is busy takes its time for. */
const BUSY_MS_MAX = 240_000;

/** Of 10,240 characters it leaves some 2,300. */
const LARGE = JSON.stringify({
  Version: "2012-10-17",
  Statement: {
    Effect: "Allow",
    Action: "s3:GetObject",
    Resource: `${BUCKET}/${"x".repeat(7_800)}`,
  },
});

describe.runIf(program !== undefined)(
  "processes over one ledger and one account",
  { retry: 0 },
  () => {
    let opened: LedgerHost;
    let upstream: AwsUpstream;
    let bench: BackendBench;
    let own: OpenBackend;
    beforeAll(async () => {
      const { url } = await freshDatabase({ prefix: "aws" });
      await migrate({ url, random: systemRandom });
      process.env[LEDGER_URL] = url;
      // Most of the time of the programs that are started here would go into reading their sources.
      process.env["NODE_COMPILE_CACHE"] = COMPILED;
      opened = await openLedgerHost(url);
      upstream = await startAwsUpstream({
        iamRoles: ["agents/reader"],
        names: opened.host.names,
      });
      bench = new BackendBench({ backend: awsBackend }, upstream);
      own = bench.openAgain(direct());
    });
    afterAll(async () => {
      await own?.close();
      await bench?.open.close();
      await upstream?.stop();
      await opened?.ledger.close();
    });

    const direct = (): Readonly<Record<string, unknown>> =>
      configAt(upstream.account, upstream.account.moto, QUICK);
    const slow = (): object => ({ ...(upstream.config as object), ...QUICK });
    const lease = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
    const verdicts = (all: readonly Issued[]): Promise<readonly string[]> =>
      Promise.all(all.map(({ material }) => upstream.tryCredential(material)));

    /** By this process, which comes to AWS directly, whatever is kept of the others. */
    async function revoke({ handle }: Issued): Promise<void> {
      for (;;) {
        const outcome = await revoking(own)
          .revoke(handle, bench.call())
          .catch(() => null);
        if (outcome?.outcome === "refused") return;
        await upstream.pass(100);
      }
    }
    function revokeBy(config: object, issued: readonly Issued[]): ChildProcess {
      const handles = issued.map(({ handle }) => handle.expose("upstream"));
      const order = JSON.stringify({ config, handles });
      return spawn(process.execPath, [REVOKES, order], {
        stdio: ["ignore", "ignore", "inherit"],
      });
    }
    const ended = async (child: ChildProcess): Promise<unknown> => {
      if (child.exitCode !== null) return child.exitCode;
      await once(child, "exit");
      return child.exitCode;
    };
    /** Resolves when the process is about to send it; what it sends is kept until `release`. */
    const reached = (at: string): Promise<void> =>
      new Promise((resolve) => {
        upstream.proxy.hold((piece) => {
          const isIt = piece.includes(at);
          if (isIt) resolve();
          return isIt;
        });
      });

    test.each(["Action=PutRolePolicy", "Action=DeleteRolePolicy"])(
      "two end leases while a third is frozen at its %s, which comes later and undoes nothing",
      async (at) => {
        const all = await Promise.all(Array.from({ length: 8 }, lease));
        const [before, first, ...rest] = all;
        if (before === undefined || first === undefined) throw new Error("no lease");
        const living = rest.slice(5);
        // Two documents are there, and so little room that the next writer takes them over, and
        // deletes them at once.
        await revoke(before);
        await revoke(first);
        const theirs = { RoleName: "reader", PolicyName: "theirs" };
        await upstream.account.iam.send(
          new PutRolePolicyCommand({ ...theirs, PolicyDocument: LARGE }),
        );
        const isReached = reached(at);
        const third = revokeBy(slow(), rest.slice(0, 1));
        try {
          await isReached;
          third.kill("SIGSTOP");
          const other = revokeBy(direct(), rest.slice(1, 3));
          await Promise.all(rest.slice(3, 5).map(revoke));
          expect(await ended(other)).toBe(0);
          // By the ledger, which knew of it before it was frozen, they denied the third's as well.
          const [mine] = await verdicts(rest.slice(0, 1));
          expect(mine).toBe("refused");
          upstream.proxy.release();
          await bench.open.selfCheck([], bench.call());
          expect(await verdicts([before, first, ...rest.slice(0, 5)])).toEqual(
            Array(7).fill("refused"),
          );
          third.kill("SIGCONT");
          expect(await ended(third)).toBe(0);
        } finally {
          upstream.proxy.release();
          third.kill("SIGKILL");
          await upstream.account.iam.send(new DeleteRolePolicyCommand(theirs));
        }
        expect(await verdicts([before, first, ...rest.slice(0, 5)])).toEqual(
          Array(7).fill("refused"),
        );
        expect(await verdicts(living)).toEqual(Array(living.length).fill("accepted"));
        await Promise.all(living.map(revoke));
      },
      BUSY_MS_MAX,
    );

    test.each(["Action=AssumeRole", null])(
      "a process that is killed at %s of a mint leaves nothing that recovery does not deny",
      async (at) => {
        const plan = bench.plan();
        const { proxy, config } = upstream;
        await killMint({ program: MINTS, config, plan, proxy, at });
        expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
        expect(await upstream.liveNames()).not.toContain(plan.externalName);
      },
      BUSY_MS_MAX,
    );

    test(
      "a process that is killed on its way to a deny leaves the lease to the next one",
      async () => {
        const [issued, other] = [await lease(), await lease()];
        const isReached = reached("Action=PutRolePolicy");
        const killed = revokeBy(slow(), [issued]);
        await isReached;
        killed.kill("SIGKILL");
        await ended(killed);
        upstream.proxy.release();
        await revoke(issued);
        expect(await verdicts([issued, other])).toEqual(["refused", "accepted"]);
        await revoke(other);
      },
      BUSY_MS_MAX,
    );
  },
);
