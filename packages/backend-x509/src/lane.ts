import type { SharedLook } from "@mayfly/backend-kit";
import type { BackendHost, EndedLeases } from "@mayfly/spec";
import type { AuthoritySettings } from "./authority-settings.ts";

/** An opened backend's configuration, and what it may touch. */
export interface Lane {
  readonly settings: AuthoritySettings;
  readonly host: BackendHost;
  /** What every list made from now on says; one reading for all who ask at once. */
  readonly ended: SharedLook<EndedLeases>;
  /** Throws while the list is so long that nothing is to be issued. */
  readonly refuseCrowded: () => Promise<void>;
}

/** The longest that a certificate lives. */
export const LIFETIME_SECONDS_MAX = 900;

/**
 * The longest that what is past its expiry is still listed: RFC 5280 section 3.3 has it on one more
 * list, and a server's clock may be behind.
 */
export const graceSeconds = ({ crl_seconds, leeway_seconds }: AuthoritySettings): number =>
  crl_seconds + leeway_seconds;
