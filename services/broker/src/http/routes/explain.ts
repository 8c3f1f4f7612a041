import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import { proveKey } from "../proven-key.ts";
import { readBody } from "../read-body.ts";
import type { Env } from "../request-scope.ts";
import { explanationView } from "../views/json-views.ts";
import { aboutSubject, headersOf, readExchange, TOKEN_BODY_BYTES_MAX } from "./token.ts";

/** `POST /v1/explain`: the same form as `/token`; says what it would give, and mints nothing. */
export function explainRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.post("/v1/explain", async (c) => {
    const body = await readBody(c, TOKEN_BODY_BYTES_MAX);
    const request = readExchange(
      headersOf(c),
      body,
      ports.settings.issuer,
      c.get("peerCertificates"),
    );
    await proveKey(c, ports, null);
    c.set("understood", true);
    const explanation = await aboutSubject(ports.core.explain(request, c.get("call")));
    return c.json(explanationView(explanation), 200, { "Cache-Control": "no-store" });
  });
}
