import type {
  BackendCapabilities,
  ClientAuthentication,
  InstantMs,
  Issued,
  JsonObject,
  LeaseId,
  PresentedIdentity,
  RoleName,
  Secret,
  Task,
} from "@mayfly/spec";

export type ExchangeSubject =
  /** The client itself: `client` of the request is there, and nothing else says who asks. */
  | { readonly kind: "client" }
  /** Opens a task, or proves identity afresh for one that is open. */
  | { readonly kind: "identity"; readonly presented: PresentedIdentity }
  /** Draws on an open task, or opens a child of it. */
  | { readonly kind: "task_token"; readonly token: Secret };

export interface ExchangeRequest {
  readonly subject: ExchangeSubject;
  /** Who acts, when the subject is another: an initiator's token, or a parent's task token. */
  readonly actor: PresentedIdentity | null;
  /** Who sends it, where it authenticates itself: the actor, where no other is named. */
  readonly client?: ClientAuthentication | null;
  /**
   * Whom a request without `client` names as its client, by an id that is authenticated by a
   * certificate: nobody else may come of it.
   */
  readonly unprovenClientId?: string | null;
  /** The one object of `authorization_details`: strict JSON already, without duplicate keys. */
  readonly details: unknown;
  readonly idempotency: { readonly key: string; readonly bodySha256: string } | null;
}

export interface ExchangeReply {
  readonly task: Task;
  readonly taskToken: Secret;
  readonly taskTokenExpiresAt: InstantMs;
  readonly authorizationDetails: readonly JsonObject[];
  readonly credentials: readonly IssuedCredential[];
}

export interface IssuedCredential {
  readonly lease: LeaseId;
  readonly role: RoleName;
  readonly kind: string;
  readonly expiresAt: InstantMs;
  readonly expiryEnforcedBy: BackendCapabilities["expiryEnforcedBy"];
  readonly revocation: BackendCapabilities["revocation"];
  readonly material: Issued["material"];
}
