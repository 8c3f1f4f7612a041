import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TokenFile extends AsyncDisposable {
  readonly path: string;
}

/** A workload's token as `fileIdentity` reads it, in a folder that goes with it. */
export async function writeTokenFile(token: string): Promise<TokenFile> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-token-"));
  const path = join(folder, "token.jwt");
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
