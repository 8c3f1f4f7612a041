import { readFileSync } from "node:fs";
import { storeBootstrapTokenSha256 } from "@mayfly/postgres";
import { readMigrateSettings } from "@mayfly/settings";
import { mintAdminToken } from "../mint-admin-token.ts";
import { printToken } from "../render/print-token.ts";
import type { Session } from "../session.ts";

/** Replaces the administrator's token and prints the new one, once. */
export async function rotateAdminToken(session: Session, yes: boolean): Promise<void> {
  const { io } = session;
  const settings = readMigrateSettings(io.environment, (path) => readFileSync(path, "utf8"));
  const plan = ["replaces the administrator's token: the old one stops to work at once"];
  await session.confirm(plan, yes);
  const { token, sha256 } = mintAdminToken(io.random);
  await storeBootstrapTokenSha256(settings.databaseUrl.expose("upstream"), sha256, "replace");
  if (session.json) session.record({ admin_token: token.expose("print-once") });
  else printToken(session, token);
}
