import type { Operation } from "../openapi/operation.ts";
import { ADMINISTRATION_OPERATIONS } from "./administration.ts";
import { KEY_OPERATIONS } from "./keys.ts";
import { LEASE_OPERATIONS, LEDGER_OPERATIONS } from "./leases.ts";
import { METADATA_OPERATIONS } from "./metadata.ts";
import { SECURITY_OPERATIONS } from "./security.ts";
import { TASK_OPERATIONS } from "./tasks.ts";
import { TOKEN_OPERATIONS } from "./token.ts";

/** Every route of the broker, in the order of the reference page. */
export const ALL_OPERATIONS: readonly Operation[] = [
  ...TOKEN_OPERATIONS,
  ...TASK_OPERATIONS,
  ...LEASE_OPERATIONS,
  ...LEDGER_OPERATIONS,
  ...SECURITY_OPERATIONS,
  ...ADMINISTRATION_OPERATIONS,
  ...KEY_OPERATIONS,
  ...METADATA_OPERATIONS,
];
