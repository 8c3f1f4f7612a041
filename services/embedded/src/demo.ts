/** `npm run demo`: the main job, on real parts, in a minute. */
import { runDemo } from "./demo/run-demo.ts";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((argument) => argument !== "--json");
if (unknown.length > 0) {
  process.stderr.write(
    `demo: unknown argument ${unknown.join(" ")}\nusage: npm run demo [-- --json]\n`,
  );
  process.exitCode = 64;
} else {
  process.exitCode = await runDemo({ json: wanted.includes("--json") });
}
