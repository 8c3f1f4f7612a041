import type { JsonObject } from "./brand.ts";
import type { Secret } from "./secret.ts";
import type { InstantMs, Random } from "./time.ts";

/**
 * Pure, over parsed configurations. Between both, a configuration has the broker's secret and the
 * one before it, and what is opened with it logs in by whichever the upstream accepts: so there is
 * no moment at which a crash locks the broker out.
 */
export type SecretRotation = RotationSteps &
  (
    | { readonly madeBy: "mayfly" }
    | {
        /** Opened, it has an `obtainSecret`, which the core calls after `begin` is durable. */
        readonly madeBy: "upstream";
        /** The new secret in its place; the one before it stays beside it. */
        take(config: JsonObject, obtained: Secret): JsonObject;
      }
  );

/** How a registered backend logs in. */
export interface RegisteredLogin {
  readonly config: JsonObject;
  readonly upstreamIdentity: string;
}

interface RotationSteps {
  /**
   * Null: this configuration has a secret that Mayfly can replace. Else why it has none, and what
   * to do instead.
   */
  obstacle(config: JsonObject): string | null;
  /**
   * Whether another backend of the type logs in by the same secret: it would be locked out where
   * this one replaces it.
   */
  sharesLogin(own: RegisteredLogin, other: RegisteredLogin): boolean;
  /**
   * A new secret, and the old one beside it; where the upstream makes it, the old one in both
   * places, which says that it is to be replaced. What is under way already stays as it is.
   */
  begin(config: JsonObject, random: Random, now: InstantMs): JsonObject;
  /** Whether the old one is there. */
  isUnderWay(config: JsonObject): boolean;
  /** The same without the old one. */
  finish(config: JsonObject): JsonObject;
}
