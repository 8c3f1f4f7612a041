import { readFileSync } from "node:fs";
import { readWorkerSettings, type WorkerSettings } from "@mayfly/settings";

/** The only reader of this process's environment. */
export const workerSettingsFromEnvironment = (): WorkerSettings =>
  readWorkerSettings(process.env, (path) => readFileSync(path, "utf8"));
