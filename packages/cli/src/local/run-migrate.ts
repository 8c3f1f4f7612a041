import { readFileSync } from "node:fs";
import { configuredFailPoints, inertFailPoints } from "@mayfly/host";
import {
  DATABASE_ROLES,
  ensurePartitions,
  migrate,
  storeBootstrapTokenSha256,
  type DatabaseRole,
} from "@mayfly/postgres";
import { migrateQueue } from "@mayfly/queue";
import { readMigrateSettings } from "@mayfly/settings";
import { Secret } from "@mayfly/spec";
import { configError, usageError } from "../cli-error.ts";
import { mintAdminToken } from "../mint-admin-token.ts";
import { printToken } from "../render/print-token.ts";
import type { Session } from "../session.ts";

/** Where broker and worker look for it. */
const QUEUE_SCHEMA = "mayfly_queue";
const QUEUE_USERS: readonly DatabaseRole[] = ["mayfly_broker", "mayfly_worker"];

/** Ledger, partitions, queue and, where there is none, the administrator's token. */
export async function runMigrate(
  session: Session,
  passwordFiles: readonly string[],
): Promise<void> {
  const { io } = session;
  const settings = readMigrateSettings(io.environment, (path) => readFileSync(path, "utf8"));
  const url = settings.databaseUrl.expose("upstream");
  const passwords = readPasswords(passwordFiles);
  const { unsafeFailPoint } = settings;
  const failPoints =
    unsafeFailPoint === null ? inertFailPoints : configuredFailPoints(unsafeFailPoint);
  if (unsafeFailPoint !== null) session.note("unsafe setting: MAYFLY_UNSAFE_FAIL_POINT");
  session.note("Migrating the ledger …");
  const { applied, version, installation } = await migrate({
    url,
    random: io.random,
    passwords,
    failPoints,
  });
  await failPoints.reached("migrate.ledger");
  const partitions = await ensurePartitions(url);
  let queueVersion: number | null = null;
  if (settings.queue === "postgres") {
    session.note("Migrating the queue …");
    const connection = settings.databaseUrl;
    queueVersion = await migrateQueue({ connection, schema: QUEUE_SCHEMA, grantTo: QUEUE_USERS });
  }
  await failPoints.reached("migrate.queue");
  const minted = mintAdminToken(io.random);
  const isNew = await storeBootstrapTokenSha256(url, minted.sha256, "if_none");
  if (session.json) {
    session.record({
      applied,
      version,
      installation: installation.id,
      partitions_made: partitions,
      queue_version: queueVersion,
      ...(isNew ? { admin_token: minted.token.expose("print-once") } : {}),
    });
    return;
  }
  const { paint } = session;
  if (!session.quiet) {
    const ran = applied.length === 0 ? "was up to date" : `${applied.length} migrations ran`;
    session.text(`${paint.green("✓")} ledger      schema ${version}, ${ran}\n`);
    session.text(`${paint.green("✓")} partitions  ${partitions} made\n`);
    const queue = queueVersion === null ? "on Redis, nothing to do" : `schema ${queueVersion}`;
    session.text(`${paint.green("✓")} queue       ${queue}\n`);
    session.text(`${paint.green("✓")} installation ${installation.id}\n`);
  }
  if (isNew) printToken(session, minted.token);
}

function readPasswords(given: readonly string[]): Partial<Record<DatabaseRole, Secret>> {
  const passwords: Partial<Record<DatabaseRole, Secret>> = {};
  for (const each of given) {
    const [, name, path] = /^([a-z_]+)=(.+)$/s.exec(each) ?? [];
    const role = DATABASE_ROLES.find((known) => known === name);
    if (role === undefined || path === undefined) {
      const todo = `Give <role>=<path>, with one of ${DATABASE_ROLES.join(", ")}.`;
      throw usageError("That names no database role and file.", todo, "--password-file");
    }
    try {
      passwords[role] = Secret.of(readFileSync(path, "utf8").replace(/\r?\n$/, ""));
    } catch {
      throw configError("The password's file cannot be read.", path, "Check the path.");
    }
  }
  return passwords;
}
