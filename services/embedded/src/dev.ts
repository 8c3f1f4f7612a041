/** `npm run dev`: Mayfly on this machine, on fixed ports, until it is stopped. */
import { runDev } from "./dev/run-dev.ts";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((argument) => argument !== "--demo-workloads");
if (unknown.length > 0) {
  process.stderr.write(
    `dev: unknown argument ${unknown.join(" ")}\nusage: npm run dev [-- --demo-workloads]\n`,
  );
  process.exitCode = 64;
} else {
  await runDev(wanted.includes("--demo-workloads"));
}
