import type { AuthorityDocument, BackendId, PublishedAuthority, OpenBackend } from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { createBackendFinder, hasOwnKeys, keepsOwnKeys } from "./own-key-backends.ts";

export interface CertificateAuthorities {
  /** Public. Null: no backend of that name certifies, or it has no such document. */
  authorityDocument(id: BackendId, name: string): Promise<AuthorityDocument | null>;
  /** Whether there are keys of this backend alone to be looked after. */
  hasBackendKeys(id: BackendId): Promise<boolean>;
}

export function createCertificateAuthorities(parts: CoreParts): CertificateAuthorities {
  const findAuthority = createBackendFinder(parts, ({ certifies }) => certifies === true);
  const findKeys = createBackendFinder(parts, hasOwnKeys);
  return {
    authorityDocument: async (id, name) => {
      const registered = await findAuthority(id);
      if (registered === null) return null;
      return parts.openBackends.use(registered, (open) => authorityOf(open).document(name));
    },
    hasBackendKeys: async (id) => {
      const registered = await findKeys(id);
      const type = registered === null ? undefined : parts.ports.backendTypes.get(registered.type);
      return type !== undefined && keepsOwnKeys(type, registered?.describedConfig ?? {});
    },
  };
}

function authorityOf({ authority }: OpenBackend): PublishedAuthority {
  if (authority !== undefined) return authority;
  throw new Error("a backend type says that it certifies, and has no authority");
}
