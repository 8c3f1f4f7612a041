import { createHash } from "node:crypto";
import type { Hono } from "hono";
import { BrokerError } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { API_VERSION, openApiDocument } from "../openapi/document.ts";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";
import { errorListPage, errorPage, isErrorCode } from "../reference/error-pages.ts";
import { PAGE_HEADERS } from "../reference/page-layout.ts";
import { referencePage } from "../reference/reference-page.ts";
import type { Env, HttpContext } from "../request-scope.ts";

/** The OpenAPI document, the reference page, and what the `type` of a problem leads to. */
export function referenceRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { issuer } = ports.settings;
  const document = kept(async () =>
    JSON.stringify(openApiDocument(ALL_OPERATIONS, { issuer, version: API_VERSION })),
  );
  const reference = kept(() => referencePage(ALL_OPERATIONS, issuer));
  const errors = kept(() => errorListPage(issuer));
  app.get("/openapi.json", async (c) =>
    cached(c, await document(), { "Content-Type": "application/json" }),
  );
  app.get("/docs", async (c) => cached(c, await reference(), PAGE_HEADERS));
  app.get("/errors", async (c) => cached(c, await errors(), PAGE_HEADERS));
  app.get("/errors/:code", async (c) => {
    const code = c.req.param("code");
    if (!isErrorCode(code)) {
      throw new BrokerError("not_found", "There is no such error code; GET /errors lists all.", {
        where: "code",
      });
    }
    return c.body(await errorPage(code, issuer), 200, { ...PAGE_HEADERS, ...CACHED });
  });
}

const CACHED = { "Cache-Control": "public, max-age=300" } as const;

interface Text {
  readonly text: string;
  readonly etag: string;
}

/** Made at the first request, and kept: it cannot change while the process runs. */
function kept(make: () => Promise<string>): () => Promise<Text> {
  let made: Promise<Text> | null = null;
  return () => {
    made ??= make().then((text) => ({
      text,
      etag: `"${createHash("sha256").update(text).digest("base64url")}"`,
    }));
    return made;
  };
}

/** RFC 9110 section 13.1.2: who has it already gets 304. */
function cached(
  c: HttpContext,
  { text, etag }: Text,
  headers: Readonly<Record<string, string>>,
): Response {
  const known = (c.req.header("if-none-match") ?? "").split(",").map((tag) => tag.trim());
  const validators = { ...CACHED, ETag: etag };
  if (known.includes("*") || known.some((tag) => tag.replace(/^W\//, "") === etag)) {
    return c.body(null, 304, validators);
  }
  return c.body(text, 200, { ...headers, ...validators });
}
