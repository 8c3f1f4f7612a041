import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * @param {string} folder
 * @returns {Promise<number>} bytes of all files below, links not followed; 0 where there is none
 */
export async function sizeOf(folder) {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sizeOf(path);
      return entry.isFile() ? (await lstat(path)).size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export const megabytes = (bytes) => `${Math.round(bytes / 1_000_000)} MB`;
