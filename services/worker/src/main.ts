import { runProcess } from "@mayfly/composition";
import { workerSettingsFromEnvironment } from "./config.ts";
import { startWorkerProcess } from "./start-worker-process.ts";

await runProcess((logTo) => startWorkerProcess(workerSettingsFromEnvironment(), logTo));
