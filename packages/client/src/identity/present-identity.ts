import { invalidOption, MayflyError } from "../mayfly-error.ts";
import { Secret } from "../secret.ts";
import type { Surroundings } from "../surroundings.ts";
import { awsIdentity } from "./aws-identity.ts";
import { environmentIdentity } from "./environment-identity.ts";
import { fileIdentity } from "./file-identity.ts";
import { gcpIdentity } from "./gcp-identity.ts";
import { githubActionsIdentity } from "./github-actions-identity.ts";
import {
  custom,
  SourceFailure,
  type CustomIdentity,
  type IdentitySource,
} from "./identity-source.ts";
import { kubernetesIdentity } from "./kubernetes-identity.ts";
import { spiffeIdentity } from "./spiffe-identity.ts";
import { audiencesOf } from "./token-claims.ts";

/**
 * The sources by name, in the order in which they are looked for: what somebody set for Mayfly
 * first, then what the platform offers, and last what has to be asked over the network.
 */
const SOURCES = {
  file: () => fileIdentity(),
  environment: () => environmentIdentity(),
  spiffe: () => spiffeIdentity(),
  kubernetes: () => kubernetesIdentity(),
  "github-actions": () => githubActionsIdentity(),
  aws: () => awsIdentity(),
  gcp: () => gcpIdentity(),
} as const satisfies Readonly<Record<string, () => IdentitySource>>;

export type IdentityName = keyof typeof SOURCES;
/** A source by name, one of this package's with options, or your own. */
export type Identity = IdentityName | IdentitySource | CustomIdentity;

const VARIABLE = "MAYFLY_IDENTITY_SOURCE";
const TOKEN_CHARACTERS_MAX = 8 * 1024;
/** Longer than any source of ours takes. */
const PROOF_MS_MAX = 15_000;

/** The source that will serve. Throws `no_identity`, which lists each and why it does not. */
export async function chooseIdentity(
  wanted: Identity | undefined,
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<IdentitySource> {
  if (typeof wanted === "object") return "whyNot" in wanted ? wanted : custom(wanted);
  const name = wanted ?? around.variable(VARIABLE) ?? "";
  if (name !== "") return byName(name, wanted === undefined ? VARIABLE : "identity");
  const tried: string[] = [];
  for (const make of Object.values(SOURCES)) {
    const source = make();
    const why = await source.whyNot(around, signal);
    if (why === null) return source;
    tried.push(`${source.kind}: ${why}`);
  }
  throw new MayflyError({
    code: "no_identity",
    what: `Nothing here proves who this workload is. Tried: ${tried.join("; ")}.`,
    where: "identity",
    hint: `Set MAYFLY_IDENTITY_FILE, choose a source by ${VARIABLE}, or give the option identity.`,
  });
}

function byName(name: string, where: string): IdentitySource {
  const found = Object.entries(SOURCES).find(([known]) => known === name);
  if (found !== undefined) return found[1]();
  const names = Object.keys(SOURCES).join(", ");
  throw invalidOption(`"${name}" is no source of an identity: expected one of ${names}.`, where);
}

/** A fresh token of the source, made for the issuer. Throws `identity_unavailable`. */
export async function presentIdentity(
  source: IdentitySource,
  issuer: string,
  around: Surroundings,
  signal?: AbortSignal,
): Promise<Secret> {
  let token: string;
  try {
    token = await inTime(unlessAborted(source.prove(issuer, around, signal), signal), around);
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    // A source of one's own may put anything in its error: only ours are known to be safe.
    const why = error instanceof SourceFailure ? error.message : nameOf(error);
    throw unavailable(source, why);
  }
  if (typeof token !== "string" || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) {
    throw unavailable(source, "what it gave is no JWT");
  }
  if (token.length > TOKEN_CHARACTERS_MAX) {
    throw unavailable(source, `its token is longer than ${TOKEN_CHARACTERS_MAX} characters`);
  }
  const audiences = audiencesOf(token);
  if (audiences !== null && !audiences.includes(issuer)) {
    // Sent all the same, the broker would refuse it without saying why.
    throw unavailable(
      source,
      `its token is for ${audiences.join(", ") || "no audience"}, and not for ${issuer}`,
    );
  }
  return new Secret(token);
}

/** A source may hang, on a network's file or in code that is not ours. */
async function inTime<T>(outcome: Promise<T>, { clock }: Surroundings): Promise<T> {
  const isKnown = new AbortController();
  const late = clock.sleep(PROOF_MS_MAX, isKnown.signal).then(() => {
    throw new SourceFailure(`it gave none within ${PROOF_MS_MAX / 1_000} s`);
  });
  try {
    return await Promise.race([outcome, late]);
  } finally {
    isKnown.abort();
  }
}

function unlessAborted<T>(outcome: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return outcome;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(new Error("aborted", { cause: signal.reason }));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : "it failed");

const unavailable = (source: IdentitySource, why: string): MayflyError =>
  new MayflyError({
    code: "identity_unavailable",
    what: `The identity source ${source.kind} gave no usable token: ${why}.`,
    where: "identity",
    hint: "Mend the source, or choose another by the option identity or MAYFLY_IDENTITY_SOURCE.",
  });
