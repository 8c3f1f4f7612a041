import type { BackendHost } from "@mayfly/spec";
import type { IssuerSettings } from "./issuer-settings.ts";

/** An opened backend's configuration, and what it may touch. */
export interface TokenLane {
  readonly settings: IssuerSettings;
  readonly host: BackendHost;
}
