import { existsSync, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { configError, usageError } from "../cli-error.ts";

export const APPLY_KINDS = ["trust", "backend", "role", "resource_server", "policy"] as const;
export type ApplyKind = (typeof APPLY_KINDS)[number];

export interface ApplyFiles {
  /** Kinds whose folder is there: only of these does pruning delete anything. */
  readonly kinds: ReadonlySet<ApplyKind>;
  readonly paths: Readonly<Record<ApplyKind | "test", readonly string[]>>;
}

const FOLDERS: Readonly<Record<ApplyKind, string>> = {
  trust: "trust",
  backend: "backends",
  role: "roles",
  resource_server: "resource-servers",
  policy: "policies",
};
export const policyFolder = (folder: string): string => join(folder, FOLDERS.policy);

/** A folder that is called so was meant; left unread, pruning would delete what is in it. */
const MISTAKEN: Readonly<Record<string, string>> = {
  backend: "backends",
  role: "roles",
  trusts: "trust",
  "trust-roots": "trust",
  trust_roots: "trust",
  "resource-server": "resource-servers",
  resource_server: "resource-servers",
  resource_servers: "resource-servers",
  policy: "policies",
};
const FILES_MAX = 1_000;
/** Folders too. */
const ENTRIES_MAX = 2_000;
const DEPTH_MAX = 8;
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * The files below `backends/`, `roles/`, `trust/`, `resource-servers/` and `policies/`, each by
 * what its folder and its ending say. Hidden files and `*.md` are left out, any other ending is an
 * error: a file that is not read must not look as if it were. A symbolic link may lead to where the
 * folder itself is.
 */
export function findApplyFiles(folder: string): ApplyFiles {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw usageError("There is no such folder.", "Give the folder with -f DIR.", folder);
  }
  for (const [wrong, right] of Object.entries(MISTAKEN)) {
    if (existsSync(join(folder, wrong))) {
      const what = `A folder called ${wrong} is not read; it is called ${right}.`;
      throw configError(what, join(folder, wrong), "Rename it.");
    }
  }
  const root = realpathSync(folder);
  const kinds = APPLY_KINDS.filter((kind) => existsSync(join(folder, FOLDERS[kind])));
  if (kinds.length === 0) {
    const what = "The folder has none of backends, roles, trust, resource-servers and policies.";
    throw configError(what, folder, "Name the folder that holds them with -f DIR.");
  }
  const seen = { entries: 0 };
  const list = (kind: ApplyKind) => listFiles(join(folder, FOLDERS[kind]), root, seen);
  const found = new Map(kinds.map((kind) => [kind, list(kind)]));
  const all = [...found.values()].flat();
  if (all.length > FILES_MAX) throw tooMuch(folder, `${FILES_MAX} files`);
  const bytes = all.reduce((sum, path) => sum + statSync(path).size, 0);
  if (bytes > BYTES_MAX) throw tooMuch(folder, `${BYTES_MAX / 1024 / 1024} MiB`);
  const policyFiles = found.get("policy") ?? [];
  const isTest = (path: string): boolean => /\.test\.ya?ml$/.test(path);
  for (const path of policyFiles) mustEnd(path, isTest(path) || path.endsWith(".cedar"));
  for (const kind of ["trust", "backend", "role", "resource_server"] as const) {
    for (const path of found.get(kind) ?? []) mustEnd(path, /\.ya?ml$/.test(path));
  }
  return {
    kinds: new Set(kinds),
    paths: {
      trust: found.get("trust") ?? [],
      backend: found.get("backend") ?? [],
      role: found.get("role") ?? [],
      resource_server: found.get("resource_server") ?? [],
      policy: policyFiles.filter((path) => !isTest(path)),
      test: policyFiles.filter(isTest),
    },
  };
}

const tooMuch = (folder: string, most: string) =>
  configError(`The folder holds more than ${most}.`, folder, "Apply it in parts.");

function mustEnd(path: string, isKnown: boolean): void {
  if (isKnown) return;
  throw configError(
    "This file would not be read: its ending is none that belongs here.",
    path,
    "Call it *.yaml (in policies/: *.cedar or *.test.yaml), or move it elsewhere.",
  );
}

/** Bounded while it looks: a tree may be wider than memory, and a loop of links has no end. */
function listFiles(
  folder: string,
  root: string,
  seen: { entries: number },
  depth = 0,
): readonly string[] {
  if (depth > DEPTH_MAX) throw tooMuch(folder, `${DEPTH_MAX} levels of folders`);
  mustBeWithin(folder, root);
  const names = readdirSync(folder)
    .filter((name) => !name.startsWith(".") && !name.endsWith(".md"))
    .toSorted();
  seen.entries += names.length;
  if (seen.entries > ENTRIES_MAX) throw tooMuch(root, `${ENTRIES_MAX} files and folders`);
  return names.flatMap((name) => {
    const path = join(folder, name);
    mustBeWithin(path, root);
    const stat = statSync(path);
    if (stat.isDirectory()) return listFiles(path, root, seen, depth + 1);
    if (stat.isFile()) return [path];
    throw configError("This is no regular file.", path);
  });
}

function mustBeWithin(path: string, root: string): void {
  if (!lstatSync(path).isSymbolicLink()) return;
  let target: string;
  try {
    target = realpathSync(path);
  } catch {
    throw configError("This symbolic link leads nowhere.", path, "Remove it.");
  }
  if (target.startsWith(root + sep)) return;
  const what = "This symbolic link leads out of the folder that is applied.";
  throw configError(what, path, "Put the file itself there.");
}
