export { startWorker, type RunningWorker, type WorkerPorts } from "./worker.ts";
