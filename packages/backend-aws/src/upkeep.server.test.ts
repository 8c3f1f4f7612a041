import {
  DeleteRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import { requireOrExplain } from "@mayfly/embedded";
import { plusSeconds, type Issued } from "@mayfly/spec";
import { createMemoryNames } from "@mayfly/testkit";
import { backendErrorOf, BackendBench, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { readHandle } from "./lease-handle.ts";
import { startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import { BUCKET } from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");

describe.runIf(program !== undefined)("upkeep of AWS", () => {
  let upstream: AwsUpstream;
  let bench: BackendBench;
  beforeAll(async () => {
    upstream = await startAwsUpstream();
    bench = new BackendBench({ backend: awsBackend }, upstream);
  });
  afterAll(async () => {
    await bench?.open.close();
    await upstream?.stop();
  });

  const issue = (open = bench.open): Promise<Issued> => open.issue(bench.plan(), bench.issueCall());
  const revoke = ({ handle }: Issued, open = bench.open) =>
    revoking(open).revoke(handle, bench.call());
  const verdict = ({ material }: Issued) => upstream.tryCredential(material);
  const placeOf = ({ handle }: Issued): string => readHandle(handle).place;
  const policyNames = async (place: string): Promise<readonly string[]> => {
    const command = new ListRolePoliciesCommand({ RoleName: place });
    return (await upstream.account.iam.send(command)).PolicyNames ?? [];
  };
  const openWith = (more: object, host: object) =>
    awsBackend.open(awsBackend.parseConfig({ ...(upstream.config as object), ...more }), {
      ...bench.host,
      ...host,
    });

  test("a role that cannot be looked after keeps upkeep from no other, and fails it all the same", async () => {
    const { iam } = upstream.account;
    const names = createMemoryNames(upstream.clock);
    const open = openWith({}, { names });
    const byPlace = new Map<string, Issued>();
    while (byPlace.size < 2) {
      const issued = await issue(open);
      await revoke(issued, open);
      byPlace.set(placeOf(issued), issued);
    }
    const take = async (place: string): Promise<void> => {
      for (const PolicyName of await policyNames(place)) {
        await iam.send(new DeleteRolePolicyCommand({ RoleName: place, PolicyName }));
      }
    };
    const large = JSON.stringify({
      Version: "2012-10-17",
      Statement: {
        Effect: "Allow",
        Action: "s3:GetObject",
        Resource: `${BUCKET}/${"x".repeat(999)}`,
      },
    });
    for (const [place, issued] of byPlace) {
      for (const each of byPlace.keys()) await take(each);
      const theirs = { RoleName: place, PolicyName: "theirs" };
      await iam.send(new PutRolePolicyCommand({ ...theirs, PolicyDocument: large }));
      const error = await backendErrorOf(open.upkeep?.(bench.call()) ?? Promise.resolve());
      expect(error.message).toContain(`${place}: its other inline policies leave`);
      for (const each of byPlace.values()) expect(await verdict(each)).toBe("refused");
      expect(await verdict(issued)).toBe("refused");
      await iam.send(new DeleteRolePolicyCommand(theirs));
    }
    await open.upkeep?.(bench.call());
    await open.close();
  });

  test("a role that was deleted holds up neither upkeep nor the recovery of what is over", async () => {
    const names = createMemoryNames(upstream.clock);
    const open = openWith({}, { names });
    await upstream.account.checkRights(false);
    const now = upstream.clock.now();
    const plan = bench.plan();
    await names.take(plan.externalName, "deleted", now, 10);
    expect(await open.recover(plan, null, bench.recoverCall())).toMatchObject({
      outcome: "absent",
      looked: { session_is_over: true },
    });
    const never = bench.plan();
    await names.refuse(never.externalName, "deleted", now);
    await upstream.pass(1_100);
    expect(await open.recover(never, null, bench.recoverCall())).toMatchObject({
      outcome: "absent",
    });
    const later = plusSeconds(now, 900);
    const going = bench.plan();
    await names.take(going.externalName, "deleted", later, 10);
    await names.refuse(going.externalName, "deleted", later);
    expect(await names.places()).toContain("deleted");
    await open.upkeep?.(bench.call());
    // For as long as a session may live, nobody says that it was destroyed.
    const error = await backendErrorOf(open.recover(going, null, bench.recoverCall()));
    expect(error.message).toContain("no such IAM role");
    await upstream.account.checkRights(true);
    await open.close();
  });

  test("out of room as many are denied as fit, and what is copied counts anew", async () => {
    const names = createMemoryNames(upstream.clock);
    const open = openWith({ unsafe_propagation_seconds: 1 }, { names });
    const issued = await issue(open);
    await revoke(issued, open);
    const place = placeOf(issued);
    await upstream.pass(1_100);
    expect(await revoke(issued, open)).toEqual({ outcome: "refused" });
    const until = plusSeconds(upstream.clock.now(), 900);
    const nameOf = (nth: number): string => `mf_contract${String(nth).padStart(21, "0")}`;
    // A document of its own, as all of an end that comes alone.
    await names.refuse(nameOf(300), place, until);
    await open.upkeep?.(bench.call());
    const seenFor = async (): Promise<number> =>
      (await names.find(readHandle(issued.handle).name))?.seenForSeconds ?? 0;
    const before = await seenFor();
    for (let nth = 0; nth < 300; nth++) await names.refuse(nameOf(nth), place, until);
    const error = await backendErrorOf(open.upkeep?.(bench.call()) ?? Promise.resolve());
    expect(error.message).toContain("no room for the denies of 3");
    const all = await Promise.all(Array.from({ length: 300 }, (_, nth) => names.find(nameOf(nth))));
    const seen = all.filter((each) => each?.seenForSeconds !== null).length;
    expect(seen).toBeGreaterThan(200);
    expect(seen).toBeLessThan(300);
    expect(await verdict(issued)).toBe("refused");
    // Its document was written again with others, for room: nobody knows yet who knows of it.
    expect(await seenFor()).toBeLessThan(before);
    await open.close();
  });
});
