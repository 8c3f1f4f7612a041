import { readFile, writeFile } from "node:fs/promises";
import { backendTimes, type BackendTimes } from "../../services/composition/src/backend-times.ts";

const FILE = new URL("../../docs/backends/times.json", import.meta.url);

/** Puts what was measured into `docs/backends/times.json`; what was not stays as it is. */
export async function keepTimes(measured: BackendTimes): Promise<void> {
  const kept = backendTimes.parse(JSON.parse(await readFile(FILE, "utf8")));
  const merged: BackendTimes = {
    types: { ...kept.types, ...measured.types },
    crowds: { ...kept.crowds, ...measured.crowds },
  };
  await writeFile(FILE, `${JSON.stringify(backendTimes.parse(merged), null, 2)}\n`);
}
