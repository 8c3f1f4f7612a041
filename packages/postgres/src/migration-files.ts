import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BrokerError } from "@mayfly/spec";

export interface Migration {
  readonly version: number;
  /** Without the extension, e.g. `0001_history`. */
  readonly name: string;
  readonly statements: string;
  readonly checksum: string;
  /** Whether a binary that does not know it must not work on the schema any more. */
  readonly breaking: boolean;
}

const NAME = /^(\d{4})_[a-z0-9_]+$/;

/** In the repository at its root; in a published package beside `src` or `dist`. */
export function migrationsDirectory(): string {
  const places = ["../../../migrations/", "../migrations/"].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  const found = places.find((place) => existsSync(join(place, "0001_history.sql")));
  if (found !== undefined) return found;
  throw new BrokerError("config_invalid", "The ledger's migrations are not in this installation.", {
    where: "migrations",
  });
}

/** All migrations in order; their numbers have no gap. */
export async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const files = (await readdir(directory))
    .filter((file) => /^\d{4}_.*\.sql$/.test(file))
    .toSorted();
  const migrations: Migration[] = [];
  for (const file of files) {
    const name = file.slice(0, -".sql".length);
    const version = Number(NAME.exec(name)?.[1]);
    if (version !== migrations.length + 1) {
      const message = `migrations/${file}: expected number ${migrations.length + 1}, then a name`;
      throw new BrokerError("config_invalid", message, { where: `migrations/${file}` });
    }
    const statements = await readFile(join(directory, file), "utf8");
    migrations.push({
      version,
      name,
      statements,
      checksum: createHash("sha256").update(statements).digest("hex"),
      breaking: breakingOf(statements, file),
    });
  }
  return migrations;
}

function breakingOf(statements: string, file: string): boolean {
  const answer = /^-- breaking: (yes|no)\n/.exec(statements)?.[1];
  if (answer !== undefined) return answer === "yes";
  const message = `migrations/${file}: expected "-- breaking: yes" or "no" as the first line`;
  throw new BrokerError("config_invalid", message, { where: `migrations/${file}` });
}
