import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import { BackendError, Secret, type JsonObject } from "@mayfly/spec";
import { BackendBench, backendErrorOf, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import { startTcpFaultProxy } from "@mayfly/testkit";
import ssh2 from "ssh2";
import { hostSettings } from "./host-settings.ts";
import { askHost, COMMAND_SAYS_NO } from "./ask-host.ts";
import { generatedKey } from "./generated-key.ts";
import { revokeRequest } from "./revocation-list.ts";
import { sshBackend } from "./ssh-backend.ts";
import { playingTheCore, startSshUpstream, type SshUpstream } from "./testing/ssh-upstream.ts";

const sshd = await requireOrExplain("sshd");
/** Comes with sshd. */
const KEYGEN = "ssh-keygen";

describe.runIf(sshd !== undefined)("a host that is told", () => {
  let upstream: SshUpstream;
  let bench: BackendBench;
  beforeAll(async () => {
    upstream = await startSshUpstream(sshd ?? "");
    bench = new BackendBench({ backend: playingTheCore(sshBackend) }, upstream);
  });
  afterAll(async () => {
    await bench?.open.close();
    await upstream?.stop();
  });
  const issue = (params: JsonObject, principals?: readonly string[]) => {
    const role = { ...bench.backend.parseRole(upstream.role), key: "any" };
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: bench.plan(300).expiresAt,
      role: bench.backend.parseRole(principals === undefined ? role : { ...role, principals }),
      params: bench.backend.parseParams(params),
      holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
    });
    return bench.open.issue(plan, bench.issueCall());
  };

  test("lets in for the forced command alone, from the address, as the user that it says", async () => {
    const forced = await issue({ force_command: "exit 7" });
    expect(await upstream.run(forced.material, "exit 3")).toBe(7);
    const elsewhere = await issue({ source_addresses: ["192.0.2.0/24"] });
    expect(await upstream.run(elsewhere.material, "true")).toBe(255);
    const here = await issue({ source_addresses: ["127.0.0.1/32"] });
    expect(await upstream.run(here.material, "exit 9")).toBe(9);
    const other = await issue({}, ["nobody-here"]);
    expect(await upstream.run(other.material, "true")).toBe(255);
  });

  test("knows the workload's own key, of which nothing but the public half was sent", async () => {
    for (const kind of ["ed25519", "ecdsa"] as const) {
      const own =
        kind === "ecdsa" ? ssh2.utils.generateKeyPairSync("ecdsa", { bits: 256 }) : generatedKey();
      const { material } = await issue({ public_key: own.public });
      expect(material).not.toHaveProperty("private_key");
      const held = { ...material, private_key: Secret.of(own.private) };
      expect(await upstream.run(held, "exit 5")).toBe(5);
    }
  });

  test("that cannot be reached leaves an end undone, and is told once it returns", async () => {
    const proxy = await startTcpFaultProxy({ host: "127.0.0.1", port: upstream.port });
    const config = hostSettings(upstream.config);
    const away = bench.openAgain({ ...config, hosts: [{ ...config.hosts[0], port: proxy.port }] });
    const { material, handle } = await issue({});
    await proxy.stop();
    const failed = await backendErrorOf(revoking(away).revoke(handle, bench.call()));
    expect(failed.message).toContain(`127.0.0.1:${proxy.port}`);
    expect(String(failed.stack)).not.toContain(config.private_key.slice(60, 100));
    await backendErrorOf(revoking(away).probe(handle, bench.call()));
    expect(await upstream.run(material, "true")).toBe(0);
    await away.close();
    await revoking(bench.open).revoke(handle, bench.call());
    expect(await upstream.run(material, "true")).toBe(255);
  });

  test("with another key is told nothing", async () => {
    const config = hostSettings(upstream.config);
    const { public: host_key } = generatedKey();
    const stranger = bench.openAgain({ ...config, hosts: [{ ...config.hosts[0], host_key }] });
    const { handle } = await issue({});
    await backendErrorOf(revoking(stranger).revoke(handle, bench.call()));
    const { problems } = await stranger.selfCheck([], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["host_not_ready"]);
    await stranger.close();
  });

  test("keeps the list that it has when one comes late, or is none", async () => {
    const { material, handle } = await issue({});
    await revoking(bench.open).revoke(handle, bench.call());
    const config = hostSettings(upstream.config);
    const [at] = config.hosts;
    const ask = (request: string) =>
      askHost(at!, config, request, new AbortController().signal).catch((error: unknown) =>
        BackendError.isBackendError(error) && error.message.endsWith(COMMAND_SAYS_NO)
          ? "no"
          : String(error),
      );
    const document = await bench.open.authority!.document("revoked");
    const [head = "", ...ids] = Buffer.from(document!.bytes).toString().trim().split("\n");
    const [, , authority = ""] = head.split(" ");
    expect(await ask(revokeRequest(authority, 0, ids))).toMatch(/^revoked [1-9]\d* sessions 0$/);
    expect(await ask(revokeRequest("another1_hosts", 99_999_999, []))).toBe("no");
    expect(await ask(revokeRequest("anotherr_hosts", 99_999_999, []))).toMatch(/^revoked 9+ /);
    const revoke = `mayfly-ssh-2 revoke ${authority}`;
    for (const bad of [
      `${revoke} 99999999 1\nmf_x\n`,
      `${revoke} 99999999 0\nAAAA\n`,
      `${revoke} 9;id 0\n`,
      `mayfly-ssh-2 look ${authority} ../../etc/passwd\n`,
      "mayfly-ssh-2 check\n",
      `mayfly-ssh-1 check ${authority}\n`,
      "",
    ]) {
      expect(await ask(bad)).toBe("no");
    }
    expect(await upstream.run(material, "true")).toBe(255);
  });

  test("finds in a certificate what was planned and nothing besides, as OpenSSH reads it", async () => {
    const { material } = await issue({ extensions: [] });
    const certificate = material["certificate"];
    const text = certificate instanceof Secret ? certificate.expose("reply") : "";
    const shown = execFileSync(KEYGEN, ["-L", "-f", "-"], { input: text }).toString();
    const { key_id: name } = material;
    expect(shown).toContain(`Key ID: ${JSON.stringify(name)}`);
    expect(shown).toMatch(/Critical Options: \(none\)\s+Extensions: \(none\)/);
  });
});
