import type { Hono } from "hono";
import { BrokerError } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, LEDGER } from "../author.ts";
import { pacedStream } from "../paced-stream.ts";
import { readQuery } from "../read-json.ts";
import type { Env } from "../request-scope.ts";
import { EXPORT_ENTRIES_MAX, exportQuery } from "../schemas/ledger-export.ts";

/** Exports of one process at once: each reads the ledger as fast as its reader takes it. */
const EXPORTS_MAX = 2;
const HEADERS = { "Content-Type": "application/x-ndjson" } as const;

/** The log as newline-delimited JSON, for administrators. */
export function ledgerExportRoutes(app: Hono<Env>, ports: AppPorts): void {
  let underWay = 0;
  app.get("/v1/ledger/export", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, exportQuery);
    // A handler of GET answers HEAD too, and nobody would take, or give back, what it streams.
    if (c.req.method === "HEAD") return c.body(null, 200, HEADERS);
    if (underWay >= EXPORTS_MAX) {
      throw new BrokerError("busy", `There are ${EXPORTS_MAX} exports under way already.`, {
        retryAfterSeconds: 5,
      });
    }
    underWay += 1;
    const done = (): void => {
      underWay -= 1;
    };
    try {
      const range = await ports.exporter.open(query.from ?? 0, query.limit ?? EXPORT_ENTRIES_MAX);
      const body = pacedStream({
        clock: ports.clock,
        pieces: range.pages(),
        cut: () => c.env?.outgoing?.destroy(),
        done,
      });
      return c.body(body, 200, HEADERS);
    } catch (error) {
      done();
      throw error;
    }
  });
}
