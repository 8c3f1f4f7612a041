import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { EmbeddedError, systemCodeOf } from "./embedded-error.ts";
import { startGuarded } from "./guarded-process.ts";
import type { OsUser } from "./os-user.ts";
import type { PostgresBinaries, PostgresVersion } from "./postgres-binaries.ts";
import { claim, livingOwnerOf } from "./server-owner.ts";
import { settlesWithin } from "./wait-until.ts";

export const superuserName = "postgres";
const passwordFile = "mayfly.superuser";
const initdbDeadlineMs = 120_000;

export interface Cluster {
  readonly dataDir: string;
  readonly major: PostgresVersion;
  readonly binaries: PostgresBinaries;
  readonly user: OsUser | undefined;
  readonly unsafeNoFsync: boolean;
  readonly log: (line: string) => void;
}

/**
 * Makes the data directory if there is none, and answers the superuser's password. It is made
 * beside its place and then moved there, so that a half-made one is never taken for a whole one.
 * @throws EmbeddedError when the directory holds something else, or another major version.
 */
export async function openCluster(cluster: Cluster): Promise<string> {
  const { dataDir, major } = cluster;
  const found = await majorVersionIn(dataDir);
  if (found === undefined) return initialise(cluster);
  if (found !== String(major)) {
    throw new EmbeddedError({
      what: `the data directory belongs to PostgreSQL ${found}, not ${major}`,
      where: dataDir,
      why: "PostgreSQL reads only data of its own major version",
      remedy: `Start version ${found}, or choose another data directory.`,
    });
  }
  try {
    return (await readFile(join(dataDir, passwordFile), "utf8")).trim();
  } catch (thrown) {
    throw new EmbeddedError(
      {
        what: "the data directory was not made by Mayfly",
        where: dataDir,
        why: `it has no readable file ${passwordFile}`,
        remedy: "Choose another data directory.",
      },
      { cause: thrown },
    );
  }
}

async function majorVersionIn(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, "PG_VERSION"), "utf8")).trim();
  } catch (thrown) {
    if (systemCodeOf(thrown) !== "ENOENT") throw thrown;
  }
  const entries = await readdir(dataDir).catch((thrown: unknown) => {
    if (systemCodeOf(thrown) === "ENOENT") return [];
    throw thrown;
  });
  if (entries.length === 0) return undefined;
  throw new EmbeddedError({
    what: "the data directory is neither empty nor PostgreSQL's",
    where: dataDir,
    why: `it holds ${entries[0] ?? ""} and no PG_VERSION`,
    remedy: "Choose another data directory.",
  });
}

async function initialise(cluster: Cluster): Promise<string> {
  const { dataDir, user } = cluster;
  const unfinished = `${dataDir}.unfinished`;
  await takePlace(unfinished);
  const password = randomBytes(24).toString("base64url");
  const file = join(unfinished, passwordFile);
  const made = join(unfinished, "data");
  try {
    await writeDurably(file, `${password}\n`);
    if (user !== undefined) {
      await chown(file, user.uid, user.gid);
      await chown(unfinished, user.uid, user.gid);
    }
    await runInitdb(cluster, made, file);
    await rename(file, join(made, passwordFile));
    await rename(made, dataDir);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return password;
}

/** Takes the place beside the data directory; clears what a start that died left there. */
async function takePlace(unfinished: string): Promise<void> {
  const owner = await livingOwnerOf(unfinished);
  if (owner !== undefined) {
    throw new EmbeddedError({
      what: "this data directory is being made already",
      where: unfinished,
      why: `process ${owner} is at it`,
      remedy: "Wait for it, or choose another data directory.",
    });
  }
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await chmod(unfinished, 0o700);
  await claim(unfinished);
}

async function writeDurably(file: string, text: string): Promise<void> {
  await using handle = await open(file, "wx", 0o600);
  await handle.writeFile(text);
  await handle.sync();
}

async function runInitdb(cluster: Cluster, made: string, file: string): Promise<void> {
  const { binaries, user, unsafeNoFsync, log } = cluster;
  const initdb = await startGuarded({
    command: binaries.initdb,
    args: [
      `--pgdata=${made}`,
      `--username=${superuserName}`,
      `--pwfile=${file}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-instructions",
      ...(unsafeNoFsync ? ["--no-sync"] : []),
    ],
    parentDeathSignal: "INT",
    user,
    env: serverEnvironment,
    input: undefined,
    log,
  });
  const ended = await settlesWithin(initdb.exited, initdbDeadlineMs);
  if (!ended) initdb.signal("SIGKILL");
  const { code, signal } = await initdb.exited;
  if (code === 0) return;
  throw new EmbeddedError({
    what: "initdb failed",
    where: cluster.dataDir,
    why: `${ended ? `it ended with ${signal ?? code}` : "it took too long"}; its last lines: ${(
      await initdb.lastWords()
    ).join(" | ")}`,
    remedy: "Look at the last lines; free space, permissions and shared memory are usual causes.",
  });
}

/** All that the server sees of the environment: no PGDATA, PGOPTIONS or locale of the caller's. */
export const serverEnvironment: Readonly<Record<string, string>> = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};
