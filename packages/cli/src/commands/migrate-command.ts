import { readFileSync } from "node:fs";
import type { Command } from "commander";
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
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

/** Where `services/composition` looks for it. */
const QUEUE_SCHEMA = "mayfly_queue";
const QUEUE_USERS: readonly DatabaseRole[] = ["mayfly_broker", "mayfly_worker"];

interface MigrateOptions {
  readonly passwordFile?: readonly string[];
}

export const migrateCommand: CommandSet = (program, open) => {
  program
    .command("migrate")
    .description("bring the ledger and the queue in PostgreSQL up to date")
    .option(
      "--password-file <role=path...>",
      `let a database role log in with the password in a file: ${DATABASE_ROLES.join(", ")}`,
    )
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL: the URL of a superuser, or of a role with CREATEROLE that owns the
database. Run again after each upgrade; what is done already stays as it is. The first time it
prints the bootstrap administrator's token, once.
${examples(
  "MAYFLY_DATABASE_URL=postgres://postgres@db/mayfly mayfly migrate",
  "mayfly migrate --password-file mayfly_broker=/run/secrets/broker",
)}`,
    )
    .action((options: MigrateOptions, command: Command) => runMigrate(open(command), options));
};

async function runMigrate(session: Session, options: MigrateOptions): Promise<void> {
  const { io } = session;
  const settings = readMigrateSettings(io.environment, (path) => readFileSync(path, "utf8"));
  const url = settings.databaseUrl.expose("upstream");
  const passwords = readPasswords(options.passwordFile ?? []);
  session.note("Migrating the ledger …");
  const { applied, version, installation } = await migrate({ url, random: io.random, passwords });
  const partitions = await ensurePartitions(url);
  let queueVersion: number | null = null;
  if (settings.queue === "postgres") {
    session.note("Migrating the queue …");
    const connection = settings.databaseUrl;
    queueVersion = await migrateQueue({ connection, schema: QUEUE_SCHEMA, grantTo: QUEUE_USERS });
  }
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

/** With `-q` the token is all that is printed, so that it can be piped into a secret store. */
export function printToken(session: Session, token: Secret): void {
  session.note(
    "\nThe bootstrap administrator's token, shown this once; put it into your secret store:",
  );
  session.text(`${token.expose("print-once")}\n`);
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
