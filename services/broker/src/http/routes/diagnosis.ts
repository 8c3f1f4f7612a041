import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import { authorityOf, LEDGER } from "../author.ts";
import type { Env } from "../request-scope.ts";
import { instantText } from "../views/json-views.ts";

/** What of a broker's set-up `mayfly doctor` cannot see from outside. */
export interface SetUp {
  readonly unsafeSettings: readonly string[];
  readonly sweepIntervalSeconds: number;
  readonly listingIntervalSeconds: number;
}

/** `GET /v1/diagnosis`: the settings that a look from outside is compared with. */
export function diagnosisRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { setUp, clock, settings } = ports;
  app.get("/v1/diagnosis", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    return c.json({
      issuer: settings.issuer,
      now: instantText(clock.now()),
      sweep_interval_seconds: setUp.sweepIntervalSeconds,
      listing_interval_seconds: setUp.listingIntervalSeconds,
      unsafe_settings: [...setUp.unsafeSettings],
    });
  });
}
