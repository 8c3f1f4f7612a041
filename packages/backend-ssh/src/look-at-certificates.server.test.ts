import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireOrExplain } from "@mayfly/embedded";
import { BackendError } from "@mayfly/spec";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMAND_SAYS_NO, commandFailed, hostFailed } from "./ask-host.ts";
import {
  lookAtCertificates,
  type AskHost,
  type Certificate,
  type CertificateLook,
  type LookAtCertificate,
} from "./look-at-certificates.ts";
import { revokeRequest } from "./revocation-list.ts";

/** The command of a host, with OpenSSH's own certificates and lists; the way to it is a pipe. */
const sshd = await requireOrExplain("sshd");
/** Comes with sshd. */
const KEYGEN = "ssh-keygen";
const COMMAND = fileURLToPath(new URL("../host/mayfly-ssh-host", import.meta.url));
const AUTHORITY = "aaaaaaaa_web-hosts";
const HOST = { host: "web-1.acme.test", port: 22, host_key: "" };
const idOf = (nth: number): string => `mf_aaaaaaaa_${String(nth).padStart(32, "0")}`;

describe.runIf(sshd !== undefined)("looks at certificates", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "mayfly-ssh-looks-"));
    mkdirSync(join(directory, "sessions"));
    execFileSync(KEYGEN, ["-k", "-f", join(directory, "krl")]);
    for (const name of ["ca", "holder"]) {
      execFileSync(KEYGEN, ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)]);
    }
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function certificateOf(keyId: string): Certificate {
    const holder = join(directory, "holder.pub");
    execFileSync(KEYGEN, ["-q", "-s", join(directory, "ca"), "-I", keyId, "-n", "a", holder]);
    const file = readFileSync(join(directory, "holder-cert.pub"), "utf8").trim();
    // With a comment, as those of Mayfly have one.
    expect(file.split(" ")).toHaveLength(3);
    return { keyId, certificate: file };
  }
  const asked: string[] = [];
  /** As `askHost` does it, but for the connection. */
  const askOf =
    (command: string): AskHost =>
    async (request) => {
      asked.push(request.split(" ")[1] ?? "");
      const child = spawn("/bin/sh", [command, "serve"], {
        env: { ...process.env, MAYFLY_SSH_STATE: directory },
        stdio: ["pipe", "pipe", "ignore"],
      });
      child.stdin.end(request);
      let answer = "";
      for await (const part of child.stdout) answer += String(part);
      if (child.exitCode === null) await once(child, "exit");
      if (child.exitCode === 0) return answer.trim();
      throw commandFailed(HOST, child.exitCode);
    };
  const lookerOf = (command = COMMAND): LookAtCertificate => {
    asked.length = 0;
    return lookAtCertificates(HOST, AUTHORITY, askOf(command), new AbortController().signal);
  };
  const lookAll = (
    look: LookAtCertificate,
    certificates: readonly Certificate[],
  ): Promise<readonly (CertificateLook | string)[]> =>
    Promise.all(
      certificates.map((each) =>
        look(each, new AbortController().signal).catch((error: unknown) =>
          BackendError.isBackendError(error) ? error.message : "no failure of a backend",
        ),
      ),
    );
  /** Every second of them is on the list, and of the third a session lives: this process. */
  async function prepare(count: number): Promise<readonly Certificate[]> {
    const certificates = Array.from({ length: count }, (_, nth) => certificateOf(idOf(nth)));
    const listed = certificates.filter((_, nth) => nth % 2 === 1).map(({ keyId }) => keyId);
    await askOf(COMMAND)(revokeRequest(AUTHORITY, 7, listed), new AbortController().signal);
    const stat = readFileSync(`/proc/${process.pid}/stat`, "latin1").split(") ").at(-1) ?? "";
    writeFileSync(
      join(directory, "sessions", `${idOf(2)}.${process.pid}.${stat.split(" ")[19]}`),
      "",
    );
    return certificates;
  }
  const expected = (certificates: readonly Certificate[]): readonly CertificateLook[] =>
    certificates.map((_, nth) => ({
      refuses: nth % 2 === 1,
      sessions: nth === 2 ? 1 : 0,
      number: 7,
    }));

  test("are one exchange for all that ask at once, and each is told of its own", async () => {
    const certificates = await prepare(12);
    const looks = await lookAll(lookerOf(), certificates);
    expect(looks).toEqual(expected(certificates));
    // The first leaves at once, and the rest with the next.
    expect(asked).toEqual(["look", "looks"]);
  });

  test("by a host of an earlier version are one by one, with the same answers", async () => {
    const certificates = await prepare(6);
    const earlier = join(directory, "earlier");
    writeFileSync(earlier, readFileSync(COMMAND, "utf8").replace("    looks)", "    never)"));
    expect(await lookAll(lookerOf(earlier), certificates)).toEqual(expected(certificates));
    expect(asked).toEqual(["look", "looks", ...Array.from({ length: 5 }, () => "look")]);
  });

  test("fail for a certificate that is none, and for no other of its batch", async () => {
    const certificates = await prepare(6);
    const broken = { keyId: idOf(99), certificate: "ssh-ed25519-cert-v01@openssh.com AAAA" };
    const looks = await lookAll(lookerOf(), [...certificates, broken]);
    expect(looks).toEqual([
      ...expected(certificates),
      `SSH host web-1.acme.test:22: ${COMMAND_SAYS_NO}`,
    ]);
  });

  test("that find the host busy say so, and are not asked for one by one", async () => {
    const certificates = await prepare(4);
    const impatient = join(directory, "impatient");
    writeFileSync(impatient, readFileSync(COMMAND, "utf8").replace("flock -w 20 9", "flock -n 9"));
    const hold = "exec 9> lock; flock 9; echo held; read -r line";
    const held = spawn("/bin/sh", ["-c", hold], {
      cwd: directory,
      stdio: ["pipe", "pipe", "ignore"],
    });
    try {
      await once(held.stdout, "data");
      const looks = await lookAll(lookerOf(impatient), certificates);
      const busy = "SSH host web-1.acme.test:22: it is busy: another request did not end in 20 s";
      expect(looks).toEqual(certificates.map(() => busy));
      expect(asked).toEqual(["look", "looks"]);
    } finally {
      held.stdin.end("\n");
      if (held.exitCode === null) await once(held, "exit");
    }
    expect(await lookAll(lookerOf(impatient), certificates)).toEqual(expected(certificates));
  });

  /** Of an earlier version; it cannot be reached for those of `lost`. */
  const losing =
    (lost: (request: string) => boolean): AskHost =>
    async (request) => {
      const what = request.split(" ")[1] ?? "";
      asked.push(what);
      if (what === "looks") throw commandFailed(HOST, 2);
      if (lost(request)) throw hostFailed(HOST, "it cannot be reached");
      return "refused sessions 0 number 7";
    };
  const away = "SSH host web-1.acme.test:22: it cannot be reached";
  const many = Array.from({ length: 60 }, (_, nth) => ({ keyId: idOf(nth), certificate: "a b" }));

  test("one by one end with a host that is gone, and each is told", async () => {
    asked.length = 0;
    const { signal } = new AbortController();
    const looker = lookAtCertificates(
      HOST,
      AUTHORITY,
      losing(() => true),
      signal,
    );
    expect(new Set(await lookAll(looker, many))).toEqual(new Set([away]));
    expect(asked.length).toBeLessThan(12);
  });

  test("one by one go on behind a few connections that are lost", async () => {
    const lost = [idOf(7), idOf(20), idOf(21)];
    const looker = lookAtCertificates(
      HOST,
      AUTHORITY,
      losing((request) => lost.some((keyId) => request.includes(keyId))),
      new AbortController().signal,
    );
    expect(await lookAll(looker, many)).toEqual(
      many.map(({ keyId }) =>
        lost.includes(keyId) ? away : { refuses: true, sessions: 0, number: 7 },
      ),
    );
  });

  test("that a host answers with less than it was asked prove nothing", async () => {
    const certificates = await prepare(3);
    const looker = lookAtCertificates(
      HOST,
      AUTHORITY,
      async (request) =>
        request.includes(" looks ")
          ? `looked 2 number 7\n${idOf(1)} refused sessions 0\n${idOf(1)} refused sessions 0`
          : "refused sessions 0",
      new AbortController().signal,
    );
    const none = "SSH host web-1.acme.test:22: its answer";
    expect(await lookAll(looker, certificates)).toEqual([
      `${none} is none`,
      { refuses: true, sessions: 0, number: 7 },
      `${none} says nothing of a certificate`,
    ]);
  });
});
