export { ADMIN_TOKEN_PREFIX } from "./administrators.ts";
export { startBroker, type RunningBroker } from "./start-broker.ts";
