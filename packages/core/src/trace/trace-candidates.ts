import { parseId, readShortLeaseName, type LeaseId, type TaskId } from "@mayfly/spec";

/** What a text may hold that leads back to a lease or a task. */
export interface TraceCandidates {
  /** What may be a credential itself: to be compared by fingerprint. */
  readonly secrets: readonly string[];
  /** Named by the text: an id, or a name that was made after one. */
  readonly leaseIds: readonly LeaseId[];
  readonly taskIds: readonly TaskId[];
  /** There was more than is tried. */
  readonly truncated: boolean;
}

export const TRACE_CHARACTERS_MAX = 65_536;
export const TRACE_SECRETS_MAX = 500;
const IDS_MAX = 50;
const SECRET_CHARACTERS_MIN = 8;
const SECRET_CHARACTERS_MAX = 4096;
const PAYLOAD_CHARACTERS_MAX = 16_384;

/**
 * Looks through a secret as it was found: bare, in a URL, in an assignment, in a line of a log.
 * It is cut at what cannot be in a credential in that place, from the widest cut to the narrowest,
 * so that one with unusual characters is found too. Nothing of it is kept.
 */
export function traceCandidates(text: string): TraceCandidates {
  const secrets = new Set<string>();
  let truncated = text.length > TRACE_CHARACTERS_MAX;
  const looked = text.slice(0, TRACE_CHARACTERS_MAX);
  for (const piece of piecesOf(looked)) {
    if (piece.length < SECRET_CHARACTERS_MIN || piece.length > SECRET_CHARACTERS_MAX) continue;
    if (secrets.size >= TRACE_SECRETS_MAX) {
      truncated = true;
      break;
    }
    secrets.add(piece);
  }
  const leaseIds = [
    ...named(looked, LEASE_NAMES).map((hex) => `lease_${hex}`),
    ...shortlyNamed(looked),
  ];
  const taskIds = [...named(looked, TASK_NAMES), ...tokenTasks(looked)].map((hex) => `task_${hex}`);
  if (leaseIds.length > IDS_MAX || taskIds.length > IDS_MAX) truncated = true;
  return {
    secrets: [...secrets],
    leaseIds: valid("lease", leaseIds),
    taskIds: valid("task", taskIds),
    truncated,
  };
}

/** Widest first: the whole, words, what stands between quotes and separators, runs of base64url. */
function* piecesOf(text: string): Generator<string> {
  yield text.trim();
  for (const cut of CUTS) {
    for (const piece of text.split(cut)) {
      yield piece;
      const plain = percentDecoded(piece);
      if (plain !== piece) yield plain;
    }
  }
}
const CUTS: readonly RegExp[] = [
  /\s+/,
  /[\s"'`<>()[\]{},;]+/,
  /[\s"'`<>()[\]{},;&?=|]+/,
  // A URL's user and password: `//user:password@host`.
  /[\s"'`<>()[\]{},;&?=|/@:\\]+/,
  /[^A-Za-z0-9_-]+/,
];

function percentDecoded(piece: string): string {
  if (!piece.includes("%")) return piece;
  try {
    return decodeURIComponent(piece);
  } catch {
    return piece;
  }
}

/** An id as it is shown, or the name of what was made for a lease: `mf_<installation>_<hex>`. */
const LEASE_NAMES = [/lease_([0-9a-f]{32})/g, /mf_[a-z2-7]{8}_([0-9a-f]{32})/g] as const;
/** What allows no more than 32 characters has the id in base64url. */
const SHORT_NAME = /mf_[a-z2-7]{8}[A-Za-z0-9_-]{21}(?![A-Za-z0-9_-])/g;
const shortlyNamed = (text: string): readonly string[] =>
  [...text.matchAll(SHORT_NAME)].flatMap(([name]) => readShortLeaseName(name)?.leaseId ?? []);

/** An id, or the `jti` of a task token: it begins with the task's. */
const TASK_NAMES = [/task_([0-9a-f]{32})/g, /\b([0-9a-f]{32})\.[A-Za-z0-9_-]{22}/g] as const;

const named = (text: string, patterns: readonly RegExp[]): readonly string[] =>
  patterns.flatMap((pattern) => [...text.matchAll(pattern)].flatMap(([, hex]) => hex ?? []));

/** Which task a task token names. Unverified: an administrator asks, and nothing is done. */
function tokenTasks(text: string): readonly string[] {
  const parts = text.split(/[^A-Za-z0-9_-]/);
  return parts.flatMap((payload, at) => {
    // A header and a payload, both JSON objects in base64url.
    if (!payload.startsWith("eyJ") || parts[at - 1]?.startsWith("eyJ") !== true) return [];
    const claims = Buffer.from(payload.slice(0, PAYLOAD_CHARACTERS_MAX), "base64url");
    return named(claims.toString("utf8"), [/"task":"task_([0-9a-f]{32})"/g]);
  });
}

function valid<K extends "lease" | "task">(kind: K, ids: readonly string[]) {
  return [...new Set(ids)].slice(0, IDS_MAX).flatMap((id) => {
    try {
      return [parseId(kind, id, "text")];
    } catch {
      return [];
    }
  });
}
