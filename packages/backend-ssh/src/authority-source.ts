import type { AuthorityKey, BackendHost, InstantMs } from "@mayfly/spec";
import type { AuthorityKeySettings } from "./authority-key-settings.ts";
import { fileAuthority, type ReadKeyFile } from "./file-authority.ts";

/**
 * Where the keys of an authority are, and what signs with them. Signing fails as a whole or has
 * happened: nothing that was signed is known to anybody before it is handed out.
 */
export interface AuthoritySource {
  /** Every key that is trusted now, oldest first; the last whose `signsFromAt` is past signs. */
  keys(): Promise<readonly AuthorityKey[]>;
  /** Makes the first key, and each next one when it is due, where Mayfly makes them. */
  rotate(now: InstantMs): Promise<void>;
  close(): Promise<void>;
}

export function openAuthority(
  settings: AuthorityKeySettings,
  host: BackendHost,
  readFile: ReadKeyFile,
): AuthoritySource {
  switch (settings.source) {
    case "mayfly":
      return mayflyAuthority(host);
    case "file":
      return fileAuthority(settings.file, readFile);
    case "aws_kms":
      return whenAsked(async () => {
        const { kmsAuthority } = await import("./kms-authority.ts");
        return kmsAuthority(settings, host);
      });
  }
}

const mayflyAuthority = ({ tokens: { keys } }: BackendHost): AuthoritySource => ({
  keys: () => keys.authorities(),
  rotate: (now) => keys.rotate("EdDSA", now),
  close: async () => undefined,
});

/** The SDK of AWS takes a tenth of a second to load: nobody waits for it who has no key there. */
function whenAsked(open: () => Promise<AuthoritySource>): AuthoritySource {
  let opened: Promise<AuthoritySource> | null = null;
  return {
    keys: async () => (await (opened ??= open())).keys(),
    rotate: async () => undefined,
    close: async () => (await opened)?.close(),
  };
}
