import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** The full path of a program that the PATH leads to, or `undefined`. */
export async function programOnPath(
  name: string,
  path: string | undefined = process.env["PATH"],
): Promise<string | undefined> {
  const folders = (path ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of folders) {
    const file = join(folder, name);
    const runnable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runnable) return file;
  }
  return undefined;
}
