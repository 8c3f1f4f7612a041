import { MayflyError } from "@mayfly/client";

/**
 * What the SDK warns of, as a line of this command's own on standard error, and not in Node's words
 * about its process and flags. Other warnings stay as Node has them. Answers how to stop.
 */
export function tellWarnings(warn: (text: string) => void): () => void {
  const others = process.listeners("warning");
  const heed = (warning: Error): void => {
    if (MayflyError.is(warning)) warn(`mayfly: ${warning.message}`);
    else for (const other of others) other.call(process, warning);
  };
  process.removeAllListeners("warning");
  process.on("warning", heed);
  return () => {
    process.off("warning", heed);
    for (const other of others) process.on("warning", other);
  };
}
