/** `npm run dev`: Mayfly on this machine, on fixed ports, until it is stopped. */
import { join, resolve } from "node:path";
import { inspect, parseArgs } from "node:util";
import { EmbeddedError } from "@mayfly/embedded";
import { BrokerError } from "@mayfly/spec";
import { runDev } from "./dev/run-dev.ts";

const USAGE = `usage: npm run dev [-- OPTIONS]

  --demo-workloads   register the demo's database and write tokens of demo workloads
  --folder DIR       where data, keys and tokens are kept (.mayfly/dev of the checkout)
`;
const DEFAULT_FOLDER = join(import.meta.dirname, "../../../.mayfly/dev");

function optionsOf(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { "demo-workloads": { type: "boolean" }, folder: { type: "string" } },
    });
    return { demoWorkloads: values["demo-workloads"] ?? false, folder: values.folder };
  } catch (error) {
    process.stderr.write(`dev: ${error instanceof Error ? error.message : "wrong"}\n${USAGE}`);
    return null;
  }
}

/** What a person can mend, in words; a defect of ours with its stack. */
function failureText(error: unknown): string {
  if (error instanceof EmbeddedError || BrokerError.is(error)) return error.message;
  const isSystems = error instanceof Error && "syscall" in error;
  return isSystems ? error.message : inspect(error);
}

const options = optionsOf(process.argv.slice(2));
if (options === null) process.exitCode = 64;
else {
  try {
    await runDev({ ...options, folder: resolve(options.folder ?? DEFAULT_FOLDER) });
  } catch (error) {
    process.stderr.write(`\n  npm run dev ends: ${failureText(error)}\n`);
    process.exitCode = 1;
  }
}
