import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Secret, type AgentSvid, type WorkloadApi } from "@mayfly/spec";
import { createFakeClock, createRecordingLog, createTestX509Authority } from "@mayfly/testkit";
import { tlsFromAgent } from "./tls-from-agent.ts";
import type { TlsPair } from "./tls-files.ts";

function setUp() {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const authority = createTestX509Authority({ clock });
  let listener: (svid: AgentSvid) => void = () => undefined;
  const api: WorkloadApi = {
    bundles: () => null,
    firstBundles: async () => {
      throw new Error("not asked for here");
    },
    followSvid: (changed) => {
      listener = changed;
    },
    close: async () => undefined,
  };
  const svid = (): AgentSvid => {
    const { chain, pem } = authority.intermediate().issue();
    return { spiffeId: "spiffe://acme.test/mayfly", chain, privateKey: Secret.of(pem.key) };
  };
  return { clock, log, api, svid, tell: (next: AgentSvid) => listener(next) };
}
const leafOf = ({ cert }: TlsPair): Buffer => new X509Certificate(cert).raw;

describe("a broker that serves with its SVID", () => {
  it("begins with the first, and serves each newer one as soon as the agent tells", async () => {
    const it = setUp();
    const [first, second, third] = [it.svid(), it.svid(), it.svid()];
    const starting = tlsFromAgent(it.api, it);
    it.tell(first);
    const source = await starting;
    expect(leafOf(source.pair).equals(first.chain[0] ?? Buffer.alloc(0))).toBe(true);
    expect(source.pair.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    // One that comes before the server is there is not lost.
    it.tell(second);
    const served: TlsPair[] = [];
    const tls = source.serve((pair) => served.push(pair));
    it.tell(third);
    expect(served.map((pair) => leafOf(pair).toString("hex"))).toEqual(
      [second, third].map(({ chain }) => Buffer.from(chain[0] ?? []).toString("hex")),
    );
    expect(tls.expiresAt() - it.clock.now()).toBe(300_000);
  });

  it("does not start without one, and says what to do", async () => {
    const it = setUp();
    const starting = tlsFromAgent(it.api, it).catch((error: unknown) => String(error));
    await it.clock.advance(15_000);
    expect(await starting).toContain("register an entry for the broker");
  });

  it("keeps the one it has where the next cannot be served, and logs nothing of it", async () => {
    const it = setUp();
    const starting = tlsFromAgent(it.api, it);
    it.tell(it.svid());
    const source = await starting;
    const served: TlsPair[] = [];
    source.serve((pair) => served.push(pair));
    it.tell({ ...it.svid(), chain: [Buffer.from("canary")] });
    expect(served).toEqual([]);
    expect(it.log.messages("error")).toEqual(["an X509-SVID of the SPIFFE agent cannot be served"]);
    expect(JSON.stringify(it.log.entries)).not.toMatch(/canary|PRIVATE/);
  });
});
