import type { Hono } from "hono";
import { BrokerError, parseBackendId, type AuthorityDocument, type BackendId } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import type { Env } from "../request-scope.ts";

/** Names that documents have; of all others nobody is asked. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,127}$/i;

/** Authorities and lists of revoked certificates of the backends that certify: for anybody. */
export function backendAuthorityRoutes(app: Hono<Env>, { core }: AppPorts): void {
  app.get("/backends/:backend/authority/:document", async (c) => {
    const name = c.req.param("document");
    const id = idOf(c.req.param("backend"));
    const found = id === null || !NAME.test(name) ? null : await core.authorityDocument(id, name);
    if (found === null) throw new BrokerError("not_found", "There is no such document.");
    return c.body(bodyOf(found), 200, {
      "Content-Type": found.mediaType,
      // Whoever keeps an old list accepts what was revoked since.
      "Cache-Control": "no-cache",
    });
  });
}

const bodyOf = ({ bytes }: AuthorityDocument): ArrayBuffer => Uint8Array.from(bytes).buffer;

function idOf(backend: string): BackendId | null {
  try {
    return parseBackendId(backend, "backend");
  } catch {
    return null;
  }
}
