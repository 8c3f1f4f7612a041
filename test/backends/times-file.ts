import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { backendTimes, type BackendTimes } from "../../services/composition/src/backend-times.ts";

const FILE = new URL("../../docs/backends/times.json", import.meta.url);
const WRITE_PAGE = fileURLToPath(
  new URL("../../services/composition/src/write-backend-pages.ts", import.meta.url),
);

/**
 * Puts what was measured into `docs/backends/times.json`, and makes the page of it anew; what was
 * not measured stays as it is.
 */
export async function keepTimes(measured: Partial<BackendTimes>): Promise<void> {
  const kept = backendTimes.parse(JSON.parse(await readFile(FILE, "utf8")));
  const merged: BackendTimes = {
    types: { ...kept.types, ...measured.types },
    crowds: { ...kept.crowds, ...measured.crowds },
    downs: { ...kept.downs, ...measured.downs },
  };
  await writeFile(FILE, `${JSON.stringify(backendTimes.parse(merged), null, 2)}\n`);
  const { status } = spawnSync(process.execPath, [WRITE_PAGE], { stdio: "inherit" });
  if (status !== 0) throw new Error(`docs/backends/times.json is written, its page is not`);
}
