/**
 * Runs a part of Mayfly on a machine that has only Node 20 or newer and npm.
 *
 *   node bootstrap/run.mjs demo [--json]      the demo
 *   node bootstrap/run.mjs dev [...]          the same, staying up
 *   node bootstrap/run.mjs test [filter...]   the suite; arguments go to vitest
 *   node bootstrap/run.mjs exec <program> …   any program, with the right Node and pnpm on the PATH
 *   node bootstrap/run.mjs node               where the right Node is, for who takes its place
 *
 * It depends on nothing that is not in Node itself.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SetUpFailure } from "./failure.mjs";
import { runChild } from "./run-child.mjs";
import { setUp } from "./set-up.mjs";
import { runSuite } from "./suite.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PROGRAMS = { demo: "services/embedded/src/demo.ts", dev: "services/embedded/src/dev.ts" };
const USAGE = "usage: node bootstrap/run.mjs demo | dev | test | exec <program> [arguments] | node";

/**
 * @param {readonly string[]} argv
 * @returns {Promise<number>} the exit code
 */
async function main([command = "", ...args]) {
  if (
    !["demo", "dev", "test", "exec", "node"].includes(command) ||
    (command === "exec" && !args[0])
  ) {
    console.error(USAGE);
    return 64;
  }
  /** @param {string} line */
  const say = (line) => console.error(`  … ${line}`);
  const needsPnpm = command === "exec" && args[0] === "pnpm";
  const { node, env, summary } = await setUp({ root, env: process.env, say, needsPnpm });
  // What `exec` prints may be read by another program: nothing of ours goes between.
  if (command === "exec") {
    const [program = "", ...rest] = args;
    return runChild(program, rest, { cwd: process.cwd(), env });
  }
  if (command === "node") {
    console.log(node);
    return 0;
  }
  console.log(`  ${summary}`);
  if (command === "test") return runSuite({ root, node, env, args });
  const program = PROGRAMS[command === "demo" ? "demo" : "dev"];
  // Without it, SIGUSR1 opens a debugger on loopback, for every user of the machine.
  const flags = ["--disable-sigusr1"];
  return runChild(node, [...flags, join(root, program), ...args], { cwd: root, env });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetUpFailure)) throw error;
  console.error(error.format());
  process.exitCode = 1;
}
