import { copyFile, readFile } from "node:fs/promises";
import { requireOrExplain } from "@mayfly/embedded";
import { backendErrorOf, revoking, type BackendBench } from "@mayfly/testkit/contract";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { accountOf, liveUsers } from "./testing/redis-upstream.ts";
import { nodesOf, startRedisCluster, until, type RedisServer } from "./testing/redis-server.ts";
import type { Issued } from "@mayfly/spec";

const program = await requireOrExplain("redis");

describe.runIf(program !== undefined)("a cluster of three primaries and three replicas", () => {
  let nodes: readonly RedisServer[];
  let bench: BackendBench;
  let last: RedisServer;

  beforeAll(async () => {
    nodes = await startRedisCluster(program ?? "");
    const seeds = nodes.slice(0, 2).map(({ port }) => port);
    bench = benchOn(nodes, configOf(seeds, { topology: "cluster", call_seconds_max: 1 }));
    last = nodes[5] as RedisServer;
  });
  afterEach(async () => {
    last.signal("SIGCONT");
    await until(async () => !/fail/.test(await nodesOf(nodes[0] as RedisServer)));
  });
  afterAll(async () => {
    await bench.open.close();
    await Promise.all(nodes.map((node) => node.stop()));
  });

  const issue = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
  const nameOf = (issued: Issued): string => accountOf(issued.material)[0];
  /** One on each node; a ping is all that every member answers. */
  async function sessionsOf(issued: Issued) {
    const sessions = nodes.map((node) => node.connect(...accountOf(issued.material)));
    await Promise.all(sessions.map((session) => session.connect()));
    return sessions;
  }
  const isAlive = (session: Awaited<ReturnType<typeof sessionsOf>>[number]): Promise<boolean> =>
    session.ping().then(
      () => true,
      () => false,
    );

  test("the check finds all six from two, and has nothing to say", async () => {
    const check = await bench.open.selfCheck(
      [bench.backend.parseRole(bench.upstream.role)],
      bench.call(),
    );
    expect(check.problems).toEqual([]);
    expect(check.facts["nodes"]).toHaveLength(6);
  });

  test("the user is on each node, and after the end on none, its sessions cut", async () => {
    const issued = await issue();
    for (const node of nodes) expect(await liveUsers(node)).toContain(nameOf(issued));
    const sessions = await sessionsOf(issued);
    expect(await Promise.all(sessions.map(isAlive))).toEqual(Array(6).fill(true));
    const before = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(before).toMatchObject({ verdict: "accepted", looked: { users: 6, sessions: 6 } });
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await Promise.all(sessions.map(isAlive))).toEqual(Array(6).fill(false));
    for (const node of nodes) expect(await liveUsers(node)).not.toContain(nameOf(issued));
    const after = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(after).toMatchObject({ verdict: "refused", looked: { users: 0, sessions: 0 } });
  });

  test("with one node stopped the others refuse at once, and it is revoked when it is back", async () => {
    const issued = await issue();
    const sessions = await sessionsOf(issued);
    last.signal("SIGSTOP");
    const error = await backendErrorOf(revoking(bench.open).revoke(issued.handle, bench.call()));
    expect(error.retry.kind).toBe("after");
    for (const node of nodes.slice(0, 5)) {
      expect(await liveUsers(node)).not.toContain(nameOf(issued));
    }
    expect(await Promise.all(sessions.slice(0, 5).map(isAlive))).toEqual(Array(5).fill(false));
    await backendErrorOf(revoking(bench.open).probe(issued.handle, bench.call()));
    last.signal("SIGCONT");
    expect(await isAlive(sessions[5]!)).toBe(true);
    await until(() =>
      revoking(bench.open)
        .revoke(issued.handle, bench.call())
        .then(
          () => true,
          () => false,
        ),
    );
    expect(await isAlive(sessions[5]!)).toBe(false);
    expect(await liveUsers(last)).not.toContain(nameOf(issued));
  });

  test("once the others agree that a node is down, leases are issued without it", async () => {
    last.signal("SIGSTOP");
    await until(async () => /fail(?!\?)/.test(await nodesOf(nodes[0] as RedisServer)));
    const issued = await issue();
    for (const node of nodes.slice(0, 5)) expect(await liveUsers(node)).toContain(nameOf(issued));
    // What ends while it is down is not called revoked: it may be in its ACL file.
    await backendErrorOf(revoking(bench.open).revoke(issued.handle, bench.call()));
    last.signal("SIGCONT");
    await until(async () => !/fail/.test(await nodesOf(nodes[0] as RedisServer)));
    await revoking(bench.open).revoke(issued.handle, bench.call());
    for (const node of nodes) expect(await liveUsers(node)).not.toContain(nameOf(issued));
  });

  test("a node that starts again from an old ACL file lets in nobody that is not found", async () => {
    const issued = await issue();
    const kept = `${last.aclFile}.kept`;
    expect(await readFile(last.aclFile, "utf8")).toContain(nameOf(issued));
    await copyFile(last.aclFile, kept);
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await readFile(last.aclFile, "utf8")).not.toContain(nameOf(issued));
    await copyFile(kept, last.aclFile);
    await last.restart();
    await until(async () => !/fail/.test(await nodesOf(nodes[0] as RedisServer)));
    expect(await liveUsers(last)).toContain(nameOf(issued));
    const probed = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(probed.verdict).toBe("accepted");
    if (bench.open.listing.kind === "none") throw new Error("no listing");
    const { marked } = await bench.open.listing.list(null, bench.call());
    const found = marked.find(({ externalName }) => externalName === nameOf(issued));
    if (found?.mark.kind !== "ours") throw new Error("it is not listed as ours");
    await revoking(bench.open).revoke(found.mark.handle, bench.call());
    expect(await liveUsers(last)).not.toContain(nameOf(issued));
  });

  test("a node that left the cluster is no longer waited for", async () => {
    const issued = await issue();
    const id = String(await last.admin.cluster("MYID"));
    last.signal("SIGSTOP");
    await backendErrorOf(revoking(bench.open).revoke(issued.handle, bench.call()));
    for (const { admin } of nodes.slice(0, 5)) await admin.cluster("FORGET", id);
    const revoked = await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(revoked).toEqual({ outcome: "refused" });
    last.signal("SIGCONT");
    const first = nodes[0] as RedisServer;
    await first.admin.cluster("MEET", "127.0.0.1", last.port);
  });
});
