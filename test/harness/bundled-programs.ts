import type { TestProject } from "vitest/node";
import { bundlePrograms } from "./bundle-programs.ts";
import type { Programs } from "./service-process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What the system's tests start: bundled once for a run. */
    mayflyPrograms: Programs;
  }
}

/** Bundles the programs once for all files of a project that has any to run. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using started = new AsyncDisposableStack();
  project.provide("mayflyPrograms", await bundlePrograms(started));
  const kept = started.move();
  return () => kept.disposeAsync();
}
