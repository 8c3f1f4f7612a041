import { createPublicKey, verify } from "node:crypto";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { AuthorityKey } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { BackendBench, backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authorityKeySettings } from "./authority-key-settings.ts";
import { openAuthority, type AuthoritySource } from "./authority-source.ts";
import { createSshBackend } from "./ssh-backend.ts";
import { authorityLine } from "./ssh-signature.ts";
import { ofFile, ofKms, ofMayfly, type AuthoritySubject } from "./testing/authority-subjects.ts";
import { playingTheCore, startSshUpstream, type SshUpstream } from "./testing/ssh-upstream.ts";

const sshd = await requireOrExplain("sshd");
const moto = await requireOrExplain("moto");
const BYTES = Buffer.from("what an authority signs");

const verifies = (key: AuthorityKey, signature: Uint8Array): boolean =>
  verify(
    key.algorithm === "EdDSA" ? null : "sha256",
    BYTES,
    createPublicKey({ key: { ...key.publicJwk }, format: "jwk" }),
    signature,
  );

/** Of `ca.pub`, of keys that are there before any backend. */
async function linesOf({ authorityKey, readFile }: AuthoritySubject): Promise<string> {
  const host = createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
  });
  const source = openAuthority(authorityKeySettings.parse(authorityKey), host, readFile);
  const lines = (await source.keys()).map((key) => `${authorityLine(key, "ca")}\n`);
  await source.close();
  return lines.join("");
}

/*
 * The contract of an authority's source of keys: each of them passes the same, and a real sshd
 * takes what each of them signs.
 */
describe.each([
  ["Mayfly's own", true, ofMayfly],
  ["a file: Ed25519 of OpenSSH", true, ofFile("Ed25519 of OpenSSH")],
  ["a file: Ed25519 in PEM", true, ofFile("Ed25519 in PEM")],
  ["a file: P-256 in PEM", true, ofFile("P-256 in PEM")],
  ["a file: RSA in PEM", true, ofFile("RSA in PEM")],
  ["KMS: P-256", moto !== undefined, ofKms("ECC_NIST_P256")],
  ["KMS: RSA", moto !== undefined, ofKms("RSA_2048")],
] as const)("an authority whose key is %s", (_, isThere, start) => {
  describe.runIf(isThere && sshd !== undefined)("where it can be had", () => {
    let subject: AuthoritySubject;
    let source: AuthoritySource;
    let upstream: SshUpstream;
    let bench: BackendBench;
    beforeAll(async () => {
      subject = await start();
      const { authorityKey, readFile, lose } = subject;
      const lines = lose === null ? null : await linesOf(subject);
      upstream = await startSshUpstream(
        sshd ?? "",
        lines === null ? {} : { other: { authorityKey, lines } },
      );
      source = openAuthority(authorityKeySettings.parse(authorityKey), upstream.host(), readFile);
      bench = new BackendBench({ backend: playingTheCore(createSshBackend(readFile)) }, upstream);
    });
    afterAll(async () => {
      await source?.close();
      await bench?.open.close();
      await upstream?.stop();
      await subject?.stop();
    });

    test("has one key that signs now, the same whenever it is asked", async () => {
      const [first, again] = [await source.keys(), await source.keys()];
      expect(first).toHaveLength(1);
      expect(first[0]?.signsFromAt).toBeLessThanOrEqual(systemClock.now());
      expect(again.map(({ kid, publicJwk }) => ({ kid, publicJwk }))).toEqual(
        first.map(({ kid, publicJwk }) => ({ kid, publicJwk })),
      );
      expect(Object.keys(first[0]?.publicJwk ?? {})).not.toContain("d");
    });

    test("signs what its public half verifies, and no other bytes", async () => {
      const [key] = await source.keys();
      if (key === undefined) throw new Error("it has no key");
      expect(verifies(key, await key.sign(BYTES))).toBe(true);
      expect(verifies(key, await key.sign(Buffer.from("other bytes")))).toBe(false);
    });

    test("lets a certificate in at a real sshd, until it is revoked", async () => {
      const issued = await bench.open.issue(bench.plan(60), bench.issueCall());
      expect(await upstream.tryCredential(issued.material)).toBe("accepted");
      await revoking(bench.open).revoke(issued.handle, bench.call());
      expect(await upstream.tryCredential(issued.material)).toBe("refused");
    });

    test("that is lost signs nothing, and a check says what to do", async () => {
      expect((await bench.open.selfCheck([], bench.call())).problems).toEqual([]);
      if (subject.lose === null) return;
      await subject.lose();
      const error = await backendErrorOf(bench.open.issue(bench.plan(60), bench.issueCall()));
      expect(error.effect).toBe("none");
      const { problems } = await bench.open.selfCheck([], bench.call());
      expect(problems.map(({ code }) => code)).toEqual(["authority_key_unusable"]);
      const said = JSON.stringify([problems, error.message, String(error.cause)]);
      expect(said).not.toContain(subject.secret);
    });
  });
});
