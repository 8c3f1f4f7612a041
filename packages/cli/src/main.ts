#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { processEnvironment } from "./config.ts";
import { processIo } from "./process-io.ts";
import { runCli } from "./run-cli.ts";
import { readVersion } from "./read-version.ts";

const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
// A reader that left may not end this process before it has ended a task.
process.stderr.on("error", () => undefined);
process.exitCode = await runCli(
  process.argv.slice(2),
  processIo(processEnvironment(), fetch),
  readVersion(manifest),
);
