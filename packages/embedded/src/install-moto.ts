import { motoPython } from "./moto-python.ts";

/** For CI: what the first test that needs moto would do, and its failure in words of its own. */
const python = await motoPython(process.env["PATH"]);
if (python === undefined) {
  process.stderr.write("moto: python3, or the registry of its packages, was not to be had\n");
  process.exitCode = 1;
} else process.stdout.write(`moto: ${python}\n`);
