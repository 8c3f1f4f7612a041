import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { BrokerError, type Secret } from "@mayfly/spec";
import { invalid, MAX_RING_TEXT, parseKeyRing, type KeyRing } from "./key-ring.ts";

/** Where the ring is: a file, or the text itself, as the environment gave it. */
export type KeyRingSource = { readonly file: string } | { readonly value: Secret };

/**
 * Reads the key ring. Throws `config_invalid` if it is missing or malformed, and if the file may be
 * read by anybody but its owner.
 */
export async function readKeyRing(source: KeyRingSource): Promise<KeyRing> {
  if ("value" in source) return parseKeyRing(source.value.expose("crypto"), "value");
  const { file } = source;
  const handle = await open(file, "r").catch((error: unknown) => {
    throw new BrokerError(
      "config_invalid",
      `key ring: ${file} cannot be opened (${codeOf(error)})`,
      {
        where: file,
        cause: error,
      },
    );
  });
  try {
    return parseKeyRing(await readGuarded(handle, file), file);
  } finally {
    await handle.close();
  }
}

/** Judged on the open file, so that no other can be put in its place between look and read. */
async function readGuarded(handle: FileHandle, file: string): Promise<string> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw invalid(file, "not a regular file");
  if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
    throw invalid(file, `its mode is ${mode}, so others may read it: run chmod 600 '${file}'`);
  }
  if (stat.size > MAX_RING_TEXT) throw invalid(file, `longer than ${MAX_RING_TEXT} bytes`);
  return handle.readFile("utf8");
}

/** The system's error code, such as ENOENT. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !("code" in error)) return "unknown";
  return typeof error.code === "string" ? error.code : "unknown";
}
