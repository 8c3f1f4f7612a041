import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import {
  ENDED_LEASES_MAX,
  InvalidInput,
  plusSeconds,
  Secret,
  type InstantMs,
  type Issued,
  type JsonObject,
} from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { BackendBench, backendErrorOf, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import {
  playingTheCore,
  startCertificateUpstream,
  type CertificateUpstream,
} from "./testing/certificate-upstream.ts";
import { readHandle } from "./certificate-handle.ts";
import { x509Backend } from "./x509-backend.ts";

const openssl = await requireOrExplain("openssl");

interface Holder {
  readonly cert: string;
  readonly key: string;
}

describe.runIf(openssl !== undefined)("a server that asks for certificates", () => {
  let upstream: CertificateUpstream;
  let bench: BackendBench;
  let server: tls.Server;
  let own: Holder;
  const folder = mkdtempSync(join(tmpdir(), "mayfly-mutual-"));
  const request = (...more: string[]): string => {
    const args = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
    const key = join(folder, "key.pem");
    execFileSync(
      openssl ?? "",
      [...args, "-keyout", key, "-out", join(folder, "out.pem"), ...more],
      {
        stdio: "ignore",
      },
    );
    return readFileSync(join(folder, "out.pem"), "utf8");
  };
  const keyOfRequest = (): string => readFileSync(join(folder, "key.pem"), "utf8");
  /** As a server that reads the authority's documents again. */
  const follow = async (): Promise<void> => {
    await upstream.pass(1_000);
    server.setSecureContext({
      ...own,
      ca: await upstream.document("ca.pem"),
      crl: await upstream.document("crl.pem"),
    });
  };

  beforeAll(async () => {
    upstream = await startCertificateUpstream(openssl ?? "", createFakeClock(systemClock.now()));
    bench = new BackendBench({ backend: playingTheCore(x509Backend) }, upstream);
    own = { cert: request("-x509", "-subj", "/CN=localhost"), key: keyOfRequest() };
    server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: true }, (socket) => {
      const { subject, subjectaltname } = socket.getPeerCertificate();
      socket.end(`${String(subject.CN)} ${String(subjectaltname)}`);
    });
    // A client that is refused is none of the server's errors.
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await follow();
  });
  afterAll(async () => {
    server?.close();
    await upstream?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What the server says to whom it accepts; null to all others. */
  const greet = async (holder: Holder): Promise<string | null> => {
    const { port } = server.address() as AddressInfo;
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...holder });
    let said = "";
    try {
      for await (const part of socket) said += String(part);
    } catch {
      return null;
    }
    return said === "" ? null : said;
  };
  const planOf = (params: JsonObject) =>
    bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: bench.plan(300).expiresAt,
      role: bench.backend.parseRole(upstream.role),
      params: bench.backend.parseParams(params),
      holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
    });
  const textOf = (value: unknown): string => (value instanceof Secret ? value.expose("reply") : "");
  const holderOf = ({ material }: Issued): Holder => ({
    cert: textOf(material["certificate"]),
    key: textOf(material["private_key"]),
  });

  test("lets a holder in by its names, and no more once it follows the list, which shuts out nobody else", async () => {
    const [plan, other] = [planOf({}), planOf({ uris: [], emails: [] })];
    const issued = await bench.open.issue(plan, bench.issueCall());
    const another = await bench.open.issue(other, bench.issueCall());
    expect(await greet(holderOf(issued))).toBe(
      `${plan.externalName} URI:https://hooks.acme.test/agent, URI:spiffe://acme.test/agent, ` +
        "DNS:agent.acme.test, email:agent@acme.test",
    );
    expect(await greet(holderOf(another))).toBe(`${other.externalName} DNS:agent.acme.test`);
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await greet(holderOf(issued))).not.toBeNull();
    await follow();
    expect(await greet(holderOf(issued))).toBeNull();
    expect(await greet(holderOf(another))).not.toBeNull();
  });

  test("knows the workload's own key, and sees nothing else of its request", async () => {
    const csr = request("-subj", "/CN=root/O=Acme", "-addext", "subjectAltName=DNS:root.acme.test");
    const key = keyOfRequest();
    const plan = planOf({ csr });
    const issued = await bench.open.issue(plan, bench.issueCall());
    expect(issued.material).not.toHaveProperty("private_key");
    const said = await greet({ cert: textOf(issued.material["certificate"]), key });
    expect(said).toContain(plan.externalName);
    expect(said).not.toContain("root");
    expect(JSON.stringify(plan)).not.toContain("root");
  });

  test("signs nothing while too many ended leases are listed, and goes on ending", async () => {
    const issued = await bench.open.issue(planOf({}), bench.issueCall());
    const times = { endedAt: upstream.clock.now(), expiresAt: bench.plan(300).expiresAt };
    const one = { leaseId: freshLeaseId(), ...times };
    const leases = [
      { leaseId: readHandle(issued.handle).leaseId, ...times },
      ...Array.from({ length: ENDED_LEASES_MAX }, () => one),
    ];
    const endedLeases = async () => ({ number: 1, readAt: upstream.clock.now(), leases });
    const host = { ...bench.host, tokens: { ...bench.host.tokens, endedLeases } };
    const crowded = x509Backend.open(x509Backend.parseConfig(upstream.config), host);
    const refused = await backendErrorOf(crowded.issue(planOf({}), bench.issueCall()));
    expect(refused).toMatchObject({ effect: "none", retry: { kind: "after", seconds: 10 } });
    expect(await revoking(crowded).revoke(issued.handle, bench.call())).toMatchObject({
      outcome: "propagating",
    });
  });

  test("an end counts by the ledger's clock, and no sooner than longer lists from before run out", async () => {
    const issued = await bench.open.issue(planOf({}), bench.issueCall());
    const { crlSeconds, leewaySeconds, connectionSeconds, leaseId } = readHandle(issued.handle);
    const endedAt = plusSeconds(upstream.clock.now(), -100);
    const expiresAt = bench.plan(900).expiresAt;
    const opened = (readAt: InstantMs, longerListsUntil = endedAt) => {
      const leases = [{ leaseId, endedAt, expiresAt }];
      const endedLeases = async () => ({ number: 1, readAt, leases, longerListsUntil });
      const host = { ...bench.host, tokens: { ...bench.host.tokens, endedLeases } };
      return revoking(x509Backend.open(x509Backend.parseConfig(upstream.config), host));
    };
    const atOnce = opened(upstream.clock.now());
    expect(await atOnce.revoke(issued.handle, bench.call())).toEqual({ outcome: "refused" });
    // The ledger's clock is behind: by ours the bound is over.
    const behind = opened(plusSeconds(endedAt, 40));
    const wait = await behind.revoke(issued.handle, bench.call());
    const bound = 22 + crlSeconds + leewaySeconds + connectionSeconds;
    expect(wait).toEqual({
      outcome: "propagating",
      until: plusSeconds(upstream.clock.now(), bound - 40),
    });
    expect((await behind.probe(issued.handle, bench.call())).verdict).toBe("accepted");
    const longer = plusSeconds(upstream.clock.now(), 60);
    expect(await opened(upstream.clock.now(), longer).revoke(issued.handle, bench.call())).toEqual({
      outcome: "propagating",
      until: plusSeconds(longer, leewaySeconds + connectionSeconds),
    });
  });

  test("accepts what another key of the authority signs, beside what the last one did", async () => {
    const old = await bench.open.issue(planOf({}), bench.issueCall());
    const before = await upstream.document("ca.pem");
    const { keys } = bench.host.tokens;
    await keys.rotate("RS256", upstream.clock.now());
    await upstream.pass(1_000);
    const after = await upstream.document("ca.pem");
    expect(after.startsWith(before)).toBe(true);
    expect(after.length).toBeGreaterThan(before.length);
    await upstream.pass(1_000);
    // The same bytes whenever it is made, or servers would reload for nothing.
    expect(await upstream.document("ca.pem")).toBe(after);
    await follow();
    expect(await greet(holderOf(old))).not.toBeNull();
  });

  test("is never asked to trust a name beyond the domains, whatever a role says", async () => {
    const plan = planOf({});
    const grant = { ...plan.grant, dns_names: ["agent.elsewhere.test"] };
    const { effect } = await backendErrorOf(
      bench.open.issue({ ...plan, grant }, bench.issueCall()),
    );
    expect(effect).toBe("none");
  });

  test("is shown no certificate for a key that nobody proved to hold", () => {
    const good = request("-subj", "/");
    const der = Buffer.from(good.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
    const broken = Buffer.from(der);
    broken[broken.length - 1]! ^= 1;
    const short = execFileSync(
      openssl ?? "",
      ["req", "-new", "-newkey", "rsa:1024", "-noenc", "-subj", "/", "-keyout", "-"],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    const requests = [
      pemOf(broken),
      pemOf(der.subarray(0, der.length - 5)),
      `${good}${good}`,
      short.toString().replace(/^[^]*(?=-----BEGIN CERTIFICATE REQUEST)/, ""),
      createPrivateKey(keyOfRequest()).export({ format: "pem", type: "pkcs8" }).toString(),
    ];
    expect(() => planOf({ csr: good })).not.toThrow();
    for (const csr of requests) {
      const refused = refusalOf(() => planOf({ csr }));
      expect(String(refused)).toContain("params.csr");
      expect(String(refused)).not.toContain(csr.slice(40, 80));
    }
  });
});

const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;

function refusalOf(work: () => unknown): InvalidInput {
  try {
    work();
  } catch (error) {
    if (error instanceof InvalidInput) return error;
    throw error;
  }
  throw new Error("it was not refused");
}
