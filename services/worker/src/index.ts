export { startWorkerProcess } from "./start-worker-process.ts";
export { startWorker, type RunningWorker, type WorkerPorts } from "./worker.ts";
