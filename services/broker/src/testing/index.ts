/** The HTTP API in process, for tests outside of this package. */
export { arbitraryOf } from "./arbitrary-json-schema.ts";
export { ADMIN_TOKEN, createBrokerBench, type BrokerBench } from "./broker-bench.ts";
export { BACKEND_PASSWORD, READER } from "./registered.ts";
export { TRUST_DOMAIN } from "./test-identities.ts";
export { exchange, opened } from "./token-form.ts";
export { createBareEdge } from "./bare-edge.ts";
