import type { TestServer } from "@mayfly/embedded";
import { Secret } from "@mayfly/spec";
import type { HeldSession } from "@mayfly/testkit/contract";
import type { Installation, RunningBroker } from "../../harness/index.ts";

/** A type on its real server (AWS: moto), and how somebody uses what was issued there. */
export interface Upstream {
  readonly type: string;
  /** Null: it needs none beside Mayfly. */
  readonly server: TestServer | null;
  /** How the lease of a task that has ended comes to its end. */
  readonly outcome: "revoked" | "expired" | "never";
  /** Who refuses what was issued, in the words of the page of all types. */
  readonly refusedBy: string;
  readonly register: (at: Registrar) => Promise<RegisteredUpstream>;
}

/** The backend is called as its type is, and has the one role `<type>/one`. */
export interface RegisteredUpstream {
  /** Of the server, as it says it. */
  readonly version: string;
  /** By what its holder would do, and never by what a probe of ours does. */
  readonly tryCredential: (data: CredentialData) => Promise<Verdict>;
  /** Null where each request is judged anew, so that nothing stays open. */
  readonly openSession: ((data: CredentialData) => Promise<HeldSession>) | null;
  /** How many credentials live there, as its own administrator sees it. */
  readonly live: (issued: readonly CredentialData[]) => Promise<number>;
  /** Null where `mayfly backend rotate` has nothing to replace. Made ready when it is asked for. */
  readonly ownLogin: (() => Promise<OwnLogin>) | null;
  readonly stop: () => Promise<void>;
}

/** By which Mayfly itself logs in, of a backend whose role is `<backend>/one`. */
export interface OwnLogin {
  readonly backend: string;
  /** By the secret that the backend was registered with, as anybody would who has it. */
  readonly tryFirst: () => Promise<Verdict>;
}

/** `broken_off`: the server cut the attempt, or did not answer it, which says neither. */
export type Verdict = "accepted" | "refused" | "broken_off";

/** `data` of a credential in a reply. */
export type CredentialData = Readonly<Record<string, unknown>>;

export interface Registrar {
  readonly mayfly: Installation;
  readonly broker: RunningBroker;
  /** How many leases of one type are to live at once. */
  readonly leasesMax: number;
  /** The backend `name`, and its role `name/one`. */
  readonly put: (name: string, backend: object, role: object) => Promise<void>;
}

export const CLEAR = { tls: "unsafe_disable" };

export function textIn(data: CredentialData, name: string): string {
  const value = data[name];
  if (typeof value === "string") return value;
  throw new TypeError(`the credential has no ${name}`);
}

/** As a backend of a type gave it, before the reply was written. */
export const materialOf = (
  data: CredentialData,
  secrets: readonly string[],
): Readonly<Record<string, string | Secret>> =>
  Object.fromEntries(
    Object.entries(data).flatMap(([name, value]) => {
      if (typeof value !== "string") return [];
      return [[name, secrets.includes(name) ? Secret.of(value) : value]];
    }),
  );

/** An attempt that succeeds was accepted; one that fails otherwise than known is thrown. */
export async function verdictOf(
  attempt: () => Promise<unknown>,
  said: { readonly refused: RegExp; readonly brokenOff: RegExp },
): Promise<Verdict> {
  try {
    await attempt();
    return "accepted";
  } catch (error) {
    const words = wordsOf(error);
    if (said.refused.test(words)) return "refused";
    if (said.brokenOff.test(words)) return "broken_off";
    throw error;
  }
}

/** What the one sessions of all types come to: an attempt that fails is no life. */
export const alive = (attempt: () => Promise<unknown>): Promise<boolean> =>
  attempt().then(
    () => true,
    () => false,
  );

/** Code and message: drivers say it in either. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const code = "code" in error ? String(error.code) : "";
  const number = "errno" in error ? String(error.errno) : "";
  return `${code} ${number} ${error.message}`;
}

/** `requireOrExplain` found it before. */
export function there<T extends { readonly missing?: unknown }>(
  server: T,
): Exclude<T, { missing: string }> {
  if (server.missing !== undefined) throw new TypeError("a server went away");
  return server as Exclude<T, { missing: string }>;
}
