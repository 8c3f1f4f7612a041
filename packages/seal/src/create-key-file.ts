import { createSecretKey } from "node:crypto";
import { link, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { BrokerError, type Random } from "@mayfly/spec";
import { formatKeyRing, KEY_BYTES, type KeyRing, type RingKey } from "./key-ring.ts";
import { codeOf, readKeyRing } from "./read-key-ring.ts";

/**
 * Reads the ring in `file`, and makes a fresh one at the first start. For the embedded mode alone:
 * in production a missing key file is a mistake, and a new key would lock out what was sealed.
 *
 * Written beside its place with mode 0600, flushed, then linked into place, which fails if another
 * process was first: whoever loses that race reads the winner's. So no reader ever sees half a
 * ring, and no ring is ever replaced.
 */
export async function createKeyFile(file: string, random: Random): Promise<KeyRing> {
  const suffix = Buffer.from(random.bytes(8)).toString("hex");
  const draft = `${file}.${suffix}.draft`;
  try {
    if (await isThere(file)) return await readKeyRing({ file });
    await writeFlushed(draft, formatKeyRing(freshRing(random)));
    await link(draft, file).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await unlink(draft);
    await flushDirectory(dirname(file));
  } catch (error) {
    if (BrokerError.is(error)) throw error;
    throw new BrokerError(
      "config_invalid",
      `key ring: ${file} cannot be made (${codeOf(error)}): name a writable directory`,
      { where: file, cause: error },
    );
  }
  return readKeyRing({ file });
}

function freshRing(random: Random): KeyRing {
  return { sealing: [freshKey("key-1", random)], root: [freshKey("root-1", random)] };
}

function freshKey(id: string, random: Random): RingKey {
  return { id, key: createSecretKey(Buffer.from(random.bytes(KEY_BYTES))) };
}

async function isThere(file: string): Promise<boolean> {
  try {
    await (await open(file, "r")).close();
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

async function writeFlushed(file: string, text: string): Promise<void> {
  // "wx" is O_CREAT | O_EXCL: never through a link, never into a file that was there.
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A new name is durable once its directory is. */
async function flushDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
