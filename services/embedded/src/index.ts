export { createOrdersDatabase, type OrdersDatabase } from "./orders-database.ts";
export { startEmbedded, type Embedded, type EmbeddedOptions } from "./start-embedded.ts";
