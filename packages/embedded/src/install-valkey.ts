import { valkeyProgram } from "./valkey-program.ts";

/** For CI: what the first test that needs Valkey would do, and its failure in words of its own. */
const program = await valkeyProgram(process.env["PATH"]);
if (program === undefined) {
  process.stderr.write(
    "valkey: python3 3.11, or the registry of its packages, was not to be had\n",
  );
  process.exitCode = 1;
} else process.stdout.write(`valkey: ${program}\n`);
