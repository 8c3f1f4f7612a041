import type { BenchRow } from "./bench-row.ts";
import { DPOP_EXCHANGE } from "./dpop-row.ts";
import { DURABLE_WRITES } from "./durable-writes-row.ts";
import { EXPIRY_STORM } from "./expiry-storm-row.ts";
import { FAST_EXCHANGE, SCRAM_EXCHANGE } from "./exchange-rows.ts";
import { POLICY } from "./policy-row.ts";
import { SCHEDULE } from "./schedule-row.ts";
import { SVID_CHECK } from "./svid-check-row.ts";
import { TOKEN_ONLY } from "./token-only-row.ts";
import { TOKEN_CHECK } from "./token-check-row.ts";
import { BESIDE_OPENBAO, CPU_OF_EXCHANGE } from "./openbao-rows.ts";
import { FLOOD } from "./flood-row.ts";
import { HTTP_SHELL } from "./http-shell-row.ts";
import { LATENCY } from "./latency-row.ts";
import { LEDGER_SCALE } from "./ledger-scale-row.ts";
import { OVERLOAD } from "./overload-row.ts";
import { RESTART } from "./restart-row.ts";
import { X509_EXCHANGE } from "./x509-row.ts";

/** In the order of `docs/benchmarks.md`. */
export const ROWS: readonly BenchRow[] = [
  SCRAM_EXCHANGE,
  FAST_EXCHANGE,
  BESIDE_OPENBAO,
  CPU_OF_EXCHANGE,
  TOKEN_ONLY,
  TOKEN_CHECK,
  SVID_CHECK,
  HTTP_SHELL,
  POLICY,
  SCHEDULE,
  DURABLE_WRITES,
  EXPIRY_STORM,
  LATENCY,
  RESTART,
  LEDGER_SCALE,
  OVERLOAD,
  DPOP_EXCHANGE,
  X509_EXCHANGE,
  FLOOD,
];
