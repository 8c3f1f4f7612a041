import { keptDocuments } from "@mayfly/backend-kit";
import type { AuthorityDocument, PublishedAuthority } from "@mayfly/spec";
import type { Lane } from "./lane.ts";
import { revocationList, revokeRequest } from "./revocation-list.ts";
import { authorityLine } from "./ssh-signature.ts";

/** All that hosts fetch: whom to trust, and whom no more. */
export function publishAuthority(lane: Lane): PublishedAuthority {
  const { host, settings, source } = lane;
  const seconds = (): number => Math.floor(host.clock.now() / 1000);
  return {
    document: keptDocuments(host.clock, async (name): Promise<AuthorityDocument | null> => {
      switch (name) {
        case "ca.pub": {
          const own = (await source.keys()).map((key) => authorityLine(key, host.backendId));
          const lines = [...own, ...settings.also_trusted].map((line) => `${line.trim()}\n`);
          return { mediaType: "text/plain", bytes: Buffer.from(lines.join("")) };
        }
        case "krl": {
          const { number, keyIds } = await lane.list();
          const bytes = revocationList(number, seconds(), keyIds);
          return { mediaType: "application/octet-stream", bytes };
        }
        case "revoked": {
          const { number, keyIds } = await lane.list();
          const text = revokeRequest(lane.authority, number, keyIds);
          return { mediaType: "text/plain", bytes: Buffer.from(text) };
        }
        default:
          return null;
      }
    }),
    rotate: (now) => source.rotate(now),
  };
}
