import { execFile } from "node:child_process";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBackendKeys, defaultTaskTokensSettings } from "@mayfly/identity";
import {
  parseBackendId,
  Secret,
  type BackendHost,
  type BackendKeys,
  type CredentialBackend,
  type EndedLease,
  type Issued,
  type LeaseId,
  type OpenBackend,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
  type FakeClock,
} from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";
import { readHandle } from "../certificate-handle.ts";

/** What stands around an opened backend: what the ledger would say, and what is out. */
interface Surroundings {
  readonly clock: FakeClock;
  readonly ended: Map<LeaseId, EndedLease>;
  readonly issued: Map<string, Issued>;
  open: OpenBackend | null;
}
const surroundings = new WeakMap<BackendHost, Surroundings>();

/** The type as the core uses it: the end of a lease is in the ledger before it is acted upon. */
export function playingTheCore(type: CredentialBackend): CredentialBackend {
  return {
    ...type,
    open: (config, host) => {
      const open = type.open(config, host);
      const around = surroundings.get(host);
      if (open.revocation !== "propagating" || around === undefined) {
        throw new Error("expected a type that propagates, on a host of this upstream");
      }
      const { clock, ended, issued } = around;
      around.open ??= open;
      const end = (leaseId: LeaseId, expiresAt = clock.now()): void => {
        if (!ended.has(leaseId)) ended.set(leaseId, { leaseId, endedAt: clock.now(), expiresAt });
      };
      return {
        ...open,
        issue: async (plan, context) => {
          const made = await open.issue(plan, context);
          issued.set(plan.externalName, made);
          return made;
        },
        revoke: async (handle, context) => {
          const { leaseId, expiresAt } = readHandle(handle);
          end(leaseId, expiresAt);
          return open.revoke(handle, context);
        },
        recover: async (plan, checkpoint, context) => {
          end(plan.leaseId, plan.expiresAt);
          return open.recover(plan, checkpoint, context);
        },
      };
    },
  };
}

const CONFIG = {
  domains: ["acme.test"],
  algorithm: "EdDSA",
  crl_seconds: 30,
  connection_seconds_max: 20,
  leeway_seconds: 5,
} as const;
const ROLE = {
  uris: ["spiffe://acme.test/agent", "https://hooks.acme.test/agent"],
  dns_names: ["agent.acme.test"],
  emails: ["agent@acme.test"],
};

export interface CertificateUpstream extends ContractUpstream {
  /** What the authority publishes now. */
  document(name: string): Promise<string>;
}

/**
 * Servers that do no more than they must: they check chain, purpose, names and lists by OpenSSL, on
 * a clock of the test's, fetch a list only once the one they have is past its `nextUpdate`, and
 * close a connection only when it is as old as it may be.
 */
export async function startCertificateUpstream(
  openssl: string,
  clock = createFakeClock(),
): Promise<CertificateUpstream> {
  const gate = { blocked: Promise.resolve() };
  const around: Surroundings = { clock, ended: new Map(), issued: new Map(), open: null };
  const keys = await gatedKeys(clock, gate);
  const directory = await mkdtemp(join(tmpdir(), "mayfly-x509-"));
  const verifier = createVerifier(openssl, directory, around);
  const shape = { role: ROLE };
  let numbers = 0;
  const tryCredential = async (material: Issued["material"]) =>
    (await verifier.accepted([material]))[0] === true ? "accepted" : "refused";
  return {
    clock,
    config: CONFIG,
    get role() {
      return shape.role;
    },
    params: {},
    route: null,
    document: (name) => documentOf(around, name),
    host: (installation) => {
      const host = createTestBackendHost({
        clock,
        random: seededRandom("host"),
        log: createRecordingLog(),
        keys,
        endedLeases: async ({ graceSeconds }) => ({
          number: ++numbers,
          readAt: clock.now(),
          leases: [...around.ended.values()].filter(
            ({ expiresAt }) => expiresAt + graceSeconds * 1000 > clock.now(),
          ),
        }),
        ...(installation === undefined ? {} : { installation }),
      });
      surroundings.set(host, around);
      return host;
    },
    pass: (ms) => clock.advance(ms),
    tryCredential,
    openSession: async (material) => {
      const openedAt = clock.now();
      const began = await tryCredential(material);
      return {
        alive: async () =>
          began === "accepted" && clock.now() < openedAt + CONFIG.connection_seconds_max * 1000,
        close: async () => undefined,
      };
    },
    liveNames: async () => {
      const all = [...around.issued];
      const accepted = await verifier.accepted(all.map(([, { material }]) => material));
      return all.filter((_, index) => accepted[index]).map(([name]) => name);
    },
    block: async () => {
      const held = Promise.withResolvers<undefined>();
      gate.blocked = held.promise.then(() => undefined);
      return {
        release: async () => {
          held.resolve(undefined);
          await clock.advance(0);
        },
      };
    },
    forgeMark: async () => Promise.reject(new Error("a certificate bears no mark")),
    weaken: async () => {
      shape.role = { ...ROLE, dns_names: ["agent.elsewhere.test"] };
      return {
        restore: async () => {
          shape.role = ROLE;
        },
      };
    },
    authority: {
      trust: "ca.pem",
      ended: "crl.pem",
      lists: ({ bytes }, { material }) => verifier.lists(Buffer.from(bytes).toString(), material),
    },
    stop: () => rm(directory, { recursive: true, force: true }),
  };
}

async function gatedKeys(
  clock: FakeClock,
  gate: { readonly blocked: Promise<void> },
): Promise<BackendKeys> {
  const keys = createBackendKeys({
    backendId: parseBackendId("tested-backend", "backend"),
    store: createFakeSigningKeyStore(),
    sealer: createFakeSealer(),
    clock,
    random: seededRandom("keys"),
    settings: { ...defaultTaskTokensSettings, tokenSecondsMax: 1200 },
  });
  await keys.rotate("EdDSA", clock.now());
  return {
    ...keys,
    authorities: async () => {
      await gate.blocked;
      return keys.authorities();
    },
  };
}

async function documentOf({ open }: Surroundings, name: string): Promise<string> {
  const found = await open?.authority?.document(name);
  if (found === undefined || found === null) throw new Error(`the authority has no ${name}`);
  return Buffer.from(found.bytes).toString();
}

/** Whether a server of the authority would take each of these now. */
function createVerifier(openssl: string, directory: string, around: Surroundings) {
  const { clock } = around;
  let list: { readonly text: string; readonly until: number } | null = null;
  let files = 0;
  const keep = async (text: string): Promise<string> => {
    const path = join(directory, `${++files}.pem`);
    await writeFile(path, text);
    return path;
  };
  return {
    accepted: async (materials: readonly Issued["material"][]): Promise<readonly boolean[]> => {
      if (materials.length === 0) return [];
      if (list === null || list.until <= clock.now()) {
        list = {
          text: await documentOf(around, "crl.pem"),
          until: clock.now() + CONFIG.crl_seconds * 1000,
        };
      }
      const trust = await keep(await documentOf(around, "ca.pem"));
      const lists = await keep(list.text);
      const leaves = await Promise.all(materials.map((material) => keep(certificateIn(material))));
      const at = Math.floor(clock.now() / 1000);
      const how = `verify -purpose sslclient -crl_check -x509_strict -attime ${at}`.split(" ");
      const said = await run(openssl, [...how, "-CAfile", trust, "-CRLfile", lists, ...leaves]);
      const lines = new Set(said.split("\n"));
      return leaves.map((leaf) => lines.has(`${leaf}: OK`));
    },
    /** Whether any of these lists names it, whichever authority's. */
    lists: async (all: string, material: Issued["material"]): Promise<boolean> => {
      const serial = new X509Certificate(certificateIn(material)).serialNumber.toUpperCase();
      const texts: string[] = [];
      for (const [one] of all.matchAll(LIST)) {
        texts.push(await run(openssl, ["crl", "-noout", "-text", "-in", await keep(one)]));
      }
      if (texts.length === 0) throw new Error("there is no revocation list");
      const named = texts.flatMap((text) => [...text.matchAll(/Serial Number: ([0-9A-F]+)/g)]);
      return named.some(([, each]) => each === serial);
    },
  };
}

const LIST = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----\n/g;

/** What its holder shows: a certificate, and the proof that the key is its own. */
function certificateIn({ certificate, private_key: key }: Issued["material"]): string {
  if (!(certificate instanceof Secret) || !(key instanceof Secret)) {
    throw new Error("a generated certificate has two secrets");
  }
  const text = certificate.expose("reply");
  const isOwn = new X509Certificate(text).checkPrivateKey(createPrivateKey(key.expose("reply")));
  if (!isOwn) throw new Error("the private key is another certificate's");
  return text;
}

const run = (program: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    // Its status is a failure when any of them is refused.
    execFile(program, [...args], (_error, stdout) => resolve(stdout));
  });
