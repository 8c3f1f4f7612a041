import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { EmbeddedError, systemCodeOf } from "./embedded-error.ts";

const run = promisify(execFile);

/** The operating system's user that a server runs as. */
export interface OsUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/**
 * Accounts that exist already and own little: the one made for PostgreSQL, else the one made for
 * nothing. None is created: a demo must not edit the machine's user database.
 */
const candidates = ["postgres", "nobody"];

/**
 * Whom PostgreSQL has to run as. It refuses to be root, so when we are root it is the owner of an
 * existing data directory, else the first candidate that exists. `undefined` when we are not root:
 * then it runs as whoever we are.
 * @throws EmbeddedError when we are root and no candidate exists.
 */
export async function unprivilegedUser(dataDir: string): Promise<OsUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await ownerOf(`${dataDir}/PG_VERSION`);
  if (owner !== undefined && owner.uid !== 0) return owner;
  for (const name of candidates) {
    const user = await lookUp(name);
    if (user !== undefined) return user;
  }
  throw new EmbeddedError({
    what: "PostgreSQL cannot run as root, and there is no other user to run it as",
    where: candidates.join(", "),
    why: "none of these accounts exists on this machine",
    remedy: "Run as a normal user, or create one: useradd --system postgres",
  });
}

async function ownerOf(file: string): Promise<OsUser | undefined> {
  try {
    const { uid, gid } = await stat(file);
    return { uid, gid, name: `#${uid}` };
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

/** Asks `id`, which knows every source of accounts, and not only /etc/passwd. */
async function lookUp(name: string): Promise<OsUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout), name };
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") throw thrown;
    return undefined;
  }
}
