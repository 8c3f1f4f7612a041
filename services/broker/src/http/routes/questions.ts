import type { Hono } from "hono";
import { parseBackendId } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, LEDGER } from "../author.ts";
import { pageOf, readQuery } from "../read-json.ts";
import type { Env } from "../request-scope.ts";
import {
  changesQuery,
  exposureQuery,
  holdersQuery,
  lateEndsQuery,
  touchedQuery,
} from "../schemas/security.ts";
import { eventView } from "../views/json-views.ts";
import {
  holderView,
  lateEndView,
  policyUseView,
  touchView,
  workloadExposureView,
} from "../views/security-views.ts";
import { leaseFilter, requireKnownFilter } from "./leases.ts";

/** Three intervals of a sweep, by default: what is later was not merely waiting for its turn. */
const LATE_SECONDS = 30;

/** What security teams ask: one route for each question. */
export function questionRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { queries, core } = ports;
  app.get("/v1/ask/holders", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, holdersQuery);
    // Who holds what *now*, unless something else is asked for.
    const asked = query.exposed !== undefined || query.state !== undefined;
    const filter = { ...(asked ? {} : { exposed: true }), ...leaseFilter(query) };
    const page = await queries.holders(filter, pageOf(query));
    await requireKnownFilter(c, ports, filter, page);
    return c.json({ items: page.items.map(holderView), next: page.next });
  });
  app.get("/v1/ask/touched", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, touchedQuery);
    const { workload } = query;
    const page = await queries.touched({ workload, ...range(query) }, pageOf(query));
    return c.json({ items: page.items.map(touchView), next: page.next });
  });
  app.get("/v1/ask/exposure", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, exposureQuery);
    const { workload } = query;
    const [exposure, page] = await Promise.all([
      queries.exposure(workload),
      queries.holders({ workload, exposed: true }, pageOf(query)),
    ]);
    const items = page.items.map(holderView);
    return c.json({ ...workloadExposureView(exposure), items, next: page.next });
  });
  app.get("/v1/ask/late", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, lateEndsQuery);
    const { backend, workload } = query;
    const filter = {
      overSeconds: query.over ?? LATE_SECONDS,
      ...(workload === undefined ? {} : { workload }),
      ...(backend === undefined ? {} : { backendId: parseBackendId(backend, "query.backend") }),
      ...range(query),
    };
    const page = await queries.lateEnds(filter, pageOf(query));
    await requireKnownFilter(c, ports, filter, page);
    return c.json({ items: page.items.map(lateEndView), next: page.next });
  });
  app.get("/v1/ask/policies", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const active = await core.activePolicies();
    const use = active === null ? null : await queries.policyUse(active.digest, active.policyIds);
    return c.json(policyUseView(active, use));
  });
  app.get("/v1/ask/changes", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const query = readQuery(c, changesQuery);
    const filter = { ...(query.by === undefined ? {} : { actor: query.by }), ...range(query) };
    const page = await queries.administration(filter, pageOf(query));
    return c.json({ items: page.items.map(eventView), next: page.next });
  });
}

interface Range<T> {
  readonly from?: T | undefined;
  readonly until?: T | undefined;
}
const range = <T>({ from, until }: Range<T>): { readonly from?: T; readonly until?: T } => ({
  ...(from === undefined ? {} : { from }),
  ...(until === undefined ? {} : { until }),
});
