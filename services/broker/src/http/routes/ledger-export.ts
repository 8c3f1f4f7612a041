import type { Hono } from "hono";
import { z } from "zod";
import { BrokerError } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { administratorOf } from "../caller.ts";
import { pacedStream } from "../paced-stream.ts";
import { readQuery } from "../read-json.ts";
import type { Env } from "../request-scope.ts";

/** Exports of one process at once: each reads the ledger as fast as its reader takes it. */
const EXPORTS_MAX = 2;
/** Of one answer: whoever wants more asks again, from where it ended. */
const ENTRIES_MAX = 100_000;

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, {
      message: `expected a whole number from ${min} to ${max}`,
    });
const exportQuery = z.strictObject({
  from: wholeNumber(0, 999_999_999_999_999).optional(),
  limit: wholeNumber(1, ENTRIES_MAX).optional(),
});

/** The log as newline-delimited JSON, for administrators. */
export function ledgerExportRoutes(app: Hono<Env>, ports: AppPorts): void {
  let underWay = 0;
  app.get("/v1/ledger/export", async (c) => {
    await administratorOf(c, ports);
    const query = readQuery(c, exportQuery);
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
      const range = await ports.exporter.open(query.from ?? 0, query.limit ?? ENTRIES_MAX);
      const body = pacedStream({
        clock: ports.clock,
        pieces: range.pages(),
        cut: () => c.env?.outgoing?.destroy(),
        done,
      });
      return c.body(body, 200, { "Content-Type": "application/x-ndjson" });
    } catch (error) {
      done();
      throw error;
    }
  });
}
