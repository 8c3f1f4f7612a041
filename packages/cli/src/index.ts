/** The `mayfly` command, for what starts it without a process of its own. */
export { processIo } from "./process-io.ts";
export { runCli } from "./run-cli.ts";
export type { Io } from "./io.ts";
export { EXIT, type ExitCode } from "./exit-codes.ts";
