import { shownTaskTokens } from "@mayfly/core";
import type { RegisteredResourceServer } from "@mayfly/spec";
import type { resourceServerAnswer } from "../schemas/resource-servers.ts";
import type { View } from "../schemas/view.ts";
import { instantText } from "./json-views.ts";

export const resourceServerView = (
  server: RegisteredResourceServer,
): View<typeof resourceServerAnswer> => ({
  name: server.name,
  revision: server.revision,
  enabled: server.enabled,
  description: server.description,
  identities: server.identities.map((identity) =>
    "spiffeId" in identity
      ? { spiffe_id: identity.spiffeId }
      : { issuer: identity.issuer, subject: identity.subject },
  ),
  audiences: [...server.audiences],
  task_tokens: shownTaskTokens(server),
  updated_at: instantText(server.updatedAt),
});
