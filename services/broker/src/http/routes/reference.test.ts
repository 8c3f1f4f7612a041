import { createHash } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { ERROR_CODES } from "@mayfly/spec";
import { createBrokerBench, type BrokerBench } from "../../testing/broker-bench.ts";
import { textAt } from "../../testing/token-form.ts";
import { documentPath } from "../openapi/document.ts";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";

let bench: BrokerBench;
beforeAll(async () => {
  bench = await createBrokerBench();
});

describe("the reference", () => {
  it("is served as a document of this broker, and not again to who has it", async () => {
    const first = await bench.call("GET", "/openapi.json");
    expect(first.body).toMatchObject({ openapi: "3.1.1", servers: [{ url: bench.issuer }] });
    const etag = first.headers.get("etag") ?? "";
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const again = await bench.call("GET", "/openapi.json", {
        headers: { "if-none-match": known },
      });
      expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", etag]);
    }
    const other = { headers: { "if-none-match": '"other"' } };
    expect((await bench.call("GET", "/openapi.json", other)).status).toBe(200);
  });
  it("is a page with every route, on which nothing can run", async () => {
    const { text, headers } = await bench.call("GET", "/docs");
    // The browser refuses a style that has another hash.
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    expect(headers.get("content-security-policy")).toContain(`style-src 'sha256-${hash}'`);
    for (const { id, path } of ALL_OPERATIONS) {
      expect(text).toContain(`id="${id}"`);
      expect(text).toContain(documentPath(path));
    }
    expect(headers.get("content-security-policy")).toMatch(/^default-src 'none';/);
    expect(text).not.toMatch(/<script|<link|<img|style="|javascript:|\son[a-z]+="/);
    expect(text).not.toContain("[object Object]");
    // Each link leads to a place of this page, or to this broker.
    const places = new Set([...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    for (const [, target] of text.matchAll(/href="([^"]+)"/g)) {
      if (target?.startsWith("#") === true) expect(places).toContain(target.slice(1));
      else expect(target).toMatch(/^https:\/\/mayfly\.test\//);
    }
  });
  it("explains each error code at the `type` of its problem", async () => {
    const refused = await bench.call("GET", "/v1/tasks");
    const type = textAt(refused, "type");
    expect(type).toBe("https://mayfly.test/errors/unauthenticated");
    const page = await bench.call("GET", type.slice(bench.issuer.length));
    expect(page.status).toBe(200);
    expect(page.text).toContain("The call carries no credential");
    const all = await bench.call("GET", "/errors");
    for (const code of Object.keys(ERROR_CODES)) expect(all.text).toContain(`id="${code}"`);
    for (const code of ["nope", "toString", "__proto__", "%3Cscript%3E"]) {
      const none = await bench.call("GET", `/errors/${code}`);
      expect([none.status, none.text.includes("<script")]).toEqual([404, false]);
    }
  });
});
