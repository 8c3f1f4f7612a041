import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { PolicySource } from "@mayfly/spec";
import { configError, usageError } from "../cli-error.ts";
import { readTextFile } from "./yaml-file.ts";

export interface PolicyFiles {
  /** `*.cedar`, each named by its path. */
  readonly sources: readonly PolicySource[];
  /** `*.test.yaml` */
  readonly tests: readonly string[];
  /** Of `roles/` and `backends/`, in the folder or beside it. */
  readonly roles: readonly string[];
  readonly backends: readonly string[];
}

const FILES_MAX = 1_000;

/** What policies are tested with: the files named, and those in the folders named. */
export function findPolicyFiles(paths: readonly string[]): PolicyFiles {
  const found = paths.flatMap((path) => (isFolder(path) ? filesBelow(path) : [path]));
  const files = [...new Set(found)].toSorted();
  const sources = files.filter((file) => file.endsWith(".cedar"));
  // A trust domain may be called acme.test: below a folder, tests stand beside policies.
  const policyFolders = new Set(sources.map((file) => dirname(file)));
  const tests = files.filter(
    (file) =>
      /\.test\.ya?ml$/.test(file) && (paths.includes(file) || policyFolders.has(dirname(file))),
  );
  const unknown = paths.find((path) => !isFolder(path) && !/\.(cedar|test\.ya?ml)$/.test(path));
  if (unknown !== undefined) {
    throw usageError(
      "That is neither a policy nor a test of policies.",
      "Give *.cedar and *.test.yaml files, or folders that hold them.",
      unknown,
    );
  }
  if (sources.length === 0) {
    throw usageError(
      "There is no policy in what you named.",
      "Give *.cedar files, or a folder that holds them.",
      paths.join(" "),
    );
  }
  const beside = (name: string): readonly string[] => {
    const folders = new Set(files.map((file) => join(dirname(dirname(file)), name)));
    const near = [...folders].filter(isFolder).flatMap(filesBelow);
    const within = files.filter((file) => basename(dirname(file)) === name);
    return [...new Set([...near, ...within])].filter((file) => /\.ya?ml$/.test(file));
  };
  return {
    sources: sources.map((name) => ({ name, text: readTextFile(name) })),
    tests,
    roles: beside("roles"),
    backends: beside("backends"),
  };
}

/**
 * The sources as the broker shall know them: by their path below the folder that was named, so that
 * the ledger says nothing of whose machine they came from.
 */
export function registeredSources(paths: readonly string[]): readonly PolicySource[] {
  const folders = paths.filter(isFolder);
  return findPolicyFiles(paths).sources.map(({ name, text }) => {
    const below = folders
      .map((folder) => relative(folder, name))
      .filter((path) => !path.startsWith(".."))
      .toSorted((a, b) => a.length - b.length);
    return { name: below[0] ?? basename(name), text };
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function filesBelow(folder: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("node_modules"))
    .map((entry) => join(entry.parentPath, entry.name));
  if (files.length <= FILES_MAX) return files;
  throw configError(
    `The folder holds more than ${FILES_MAX} files.`,
    folder,
    "Name a smaller one.",
  );
}
