/** The batching of mints without a server, for who brings another one: the simulator. */
export { MintBatcher, type Minted, type SendBatch } from "./mint-batcher.ts";
export type { Mint } from "./mint-message.ts";
export { issueFailure } from "./issue.ts";
export { PgFailure, SQLSTATE } from "./pg-failure.ts";
