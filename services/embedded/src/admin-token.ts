import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { ADMIN_TOKEN_PREFIX } from "@mayfly/broker";
import { readBootstrapTokenSha256, storeBootstrapTokenSha256 } from "@mayfly/postgres";

/**
 * The bootstrap administrator's token of the embedded mode. Unlike production, where it is printed
 * once and stored nowhere, a file of mode 0600 keeps it, so that the next start can register the
 * demo's objects again.
 */
export async function ensureAdminToken(ledgerUrl: string, file: string): Promise<string> {
  const kept = await readFile(file, "utf8").catch(() => null);
  const token = kept?.trim() ?? ADMIN_TOKEN_PREFIX + randomBytes(32).toString("base64url");
  if (kept === null) await writeFile(file, `${token}\n`, { mode: 0o600, flag: "wx" });
  const sha256 = createHash("sha256").update(token).digest("hex");
  // The ledger may be newer than the file, or the other way round: the file counts here.
  if ((await readBootstrapTokenSha256(ledgerUrl)) !== sha256) {
    await storeBootstrapTokenSha256(ledgerUrl, sha256, "replace");
  }
  return token;
}
