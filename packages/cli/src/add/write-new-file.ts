import { writeFileSync } from "node:fs";
import { configError } from "../cli-error.ts";
import { codeOf } from "../ledger-files/system-code.ts";

/** Never over a file that is there. */
export function writeNewFile(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    const code = codeOf(error);
    throw code === "EEXIST"
      ? configError("There is such a file already.", path, "Name another one, or move it away.")
      : configError(`The file cannot be written: ${code}.`, path, "Name another one.");
  }
}
