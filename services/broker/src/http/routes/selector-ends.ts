import type { Hono } from "hono";
import {
  BrokerError,
  parseBackendId,
  parseId,
  parseRoleName,
  parseTrustRootName,
  type EndSelector,
  type EndTarget,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { authorityOf, authorOf, LEDGER } from "../author.ts";
import { requireKnownNames } from "../known-names.ts";
import { idParam, pageOf, readJson, readQuery } from "../read-json.ts";
import { goneSignal } from "../reply-delivery.ts";
import type { Env } from "../request-scope.ts";
import { endBySelectorSchema, selectorEndsQuery, type SelectorInput } from "../schemas/security.ts";
import { endPreviewView, selectorEndReportView, selectorEndView } from "../views/security-views.ts";

const LISTED = 100;

/** Ends by selector, and what became of them. */
export function selectorEndRoutes(app: Hono<Env>, ports: AppPorts): void {
  endRoute(app, ports, "/v1/leases/end", "leases");
  endRoute(app, ports, "/v1/tasks/kill", "tasks");
  app.get("/v1/ends", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const page = await ports.selectorEnds.list(pageOf(readQuery(c, selectorEndsQuery)));
    return c.json({ items: page.items.map(selectorEndView), next: page.next });
  });
  app.get("/v1/ends/:id", async (c) => {
    await authorityOf(c, ports, "read", LEDGER);
    const id = idParam(c, "selectorEnd");
    const report = await ports.selectorEnds.report(id, pageOf(readQuery(c, selectorEndsQuery)));
    if (report === null) {
      throw new BrokerError("not_found", `There is no end ${id}.`, { where: "id" });
    }
    return c.json(selectorEndReportView(report));
  });
}

function endRoute(app: Hono<Env>, ports: AppPorts, path: string, target: EndTarget): void {
  app.post(path, async (c) => {
    const action = target === "tasks" ? "kill" : "end";
    const author = await authorOf(c, ports);
    const input = await readJson(c, endBySelectorSchema);
    // Decided when all of it is there: a body may be long on its way.
    const { actor: by, decisionId } = await ports.core.authorise(author, action, LEDGER);
    const selector = selectorOf(input.selector);
    const limit = input.limit ?? LISTED;
    await requireKnownNames(c, ports, {
      names: selector,
      where: "body.selector",
      hint: "Nothing was ended. ",
      finds: async () => {
        const found = await ports.selectorEnds.preview(target, selector, 1);
        return found.tasks + found.leases + found.endingAlready > 0;
      },
    });
    if (input.dry_run === true) {
      const preview = await ports.selectorEnds.preview(target, selector, limit);
      return c.json(endPreviewView(target, selector, preview));
    }
    const call = c.get("call");
    // Who has gone is waited for no longer; the end itself goes on.
    const signal = AbortSignal.any([call.signal, goneSignal(c.env?.outgoing)]);
    const report = await ports.core.endBySelector(
      {
        target,
        selector,
        by,
        decisionId,
        reason: input.reason ?? `ended by ${by.name}`,
        expectDigest: input.expect ?? null,
        waitSeconds: input.wait ?? 0,
        lookSeconds: input.look ?? 0,
        limit,
      },
      { ...call, signal },
    );
    return c.json(selectorEndReportView(report));
  });
}

function selectorOf(input: SelectorInput): EndSelector {
  const { workload, task, backend, role, initiator } = input;
  const [root, domain] = [input.trust_root, input.trust_domain];
  const at = (name: string): string => `body.selector.${name}`;
  return {
    ...(workload === undefined ? {} : { workload }),
    ...(task === undefined ? {} : { taskId: parseId("task", task, at("task")) }),
    ...(backend === undefined ? {} : { backendId: parseBackendId(backend, at("backend")) }),
    ...(role === undefined ? {} : { role: parseRoleName(role, at("role")) }),
    ...(initiator === undefined ? {} : { initiator }),
    ...(root === undefined ? {} : { trustRoot: parseTrustRootName(root, at("trust_root")) }),
    ...(domain === undefined ? {} : { trustDomain: domain }),
  };
}
