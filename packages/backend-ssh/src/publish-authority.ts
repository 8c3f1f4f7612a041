import type { AuthorityDocument, PublishedAuthority } from "@mayfly/spec";
import type { Lane } from "./lane.ts";
import { revocationList, revokeRequest } from "./revocation-list.ts";
import { authorityLine } from "./user-certificate.ts";

/** So many questions of strangers are answered from one list. */
const FRESH_MS = 1_000;

/** All that hosts fetch: whom to trust, and whom no more. */
export function publishAuthority(lane: Lane): PublishedAuthority {
  const { host } = lane;
  const { keys } = host.tokens;
  let latest: { readonly atMs: number; readonly list: ReturnType<Lane["list"]> } | null = null;
  const recent = (): ReturnType<Lane["list"]> => {
    const atMs = host.clock.monotonicMs();
    if (latest !== null && atMs - latest.atMs < FRESH_MS) return latest.list;
    const kept = { atMs, list: lane.list() };
    latest = kept;
    kept.list.catch(() => {
      if (latest === kept) latest = null;
    });
    return kept.list;
  };
  const seconds = (): number => Math.floor(host.clock.now() / 1000);
  return {
    document: async (name): Promise<AuthorityDocument | null> => {
      switch (name) {
        case "ca.pub": {
          const authorities = await keys.authorities();
          const lines = authorities.map((key) => `${authorityLine(key, host.backendId)}\n`);
          return { mediaType: "text/plain", bytes: Buffer.from(lines.join("")) };
        }
        case "krl": {
          const { number, keyIds } = await recent();
          const bytes = revocationList(number, seconds(), keyIds);
          return { mediaType: "application/octet-stream", bytes };
        }
        case "revoked": {
          const { number, keyIds } = await recent();
          const text = revokeRequest(number, seconds(), keyIds);
          return { mediaType: "text/plain", bytes: Buffer.from(text) };
        }
        default:
          return null;
      }
    },
    rotate: (now) => keys.rotate("EdDSA", now),
  };
}
