import { parseX509ClientId, type PresentedIdentity, type TrustRootName } from "@mayfly/spec";
import { parseCompactJwt, type CompactJwt } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";
import { parsePresentedChain, type PresentedChain } from "./x509/presented-chain.ts";

/** What was presented, taken apart once for all trust roots. Nothing of it is verified. */
export type Presented =
  | { readonly kind: "jwt"; readonly jwt: CompactJwt }
  | { readonly kind: "x509"; readonly chain: PresentedChain }
  /** By name a client of a registered authority, which no trust domain's is asked about. */
  | {
      readonly kind: "x509_client";
      readonly chain: PresentedChain;
      readonly trustRoot: TrustRootName;
      readonly client: string;
    };

/** What a client shows that says which one it is: nobody is that by a certificate alone. */
export interface PresentedClient {
  readonly kind: "x509_client";
  /** As {@link PresentedIdentity} has it. */
  readonly chain: readonly Uint8Array[];
  readonly clientId: string;
}

/** Throws a Refusal. */
export function parsePresented(presented: PresentedIdentity | PresentedClient): Presented {
  switch (presented.kind) {
    case "jwt":
      return { kind: "jwt", jwt: parseCompactJwt(presented.token.expose("crypto")) };
    case "x509":
      return { kind: "x509", chain: parsePresentedChain(presented.chain) };
    case "x509_client": {
      const id = parseX509ClientId(presented.clientId);
      if (id === null) throw new Refusal("subject", "client_id is no registered client's");
      return { kind: "x509_client", chain: parsePresentedChain(presented.chain), ...id };
    }
    default:
      throw new Refusal("unsupported_kind", "an unknown kind of identity");
  }
}

export function tryParse(presented: PresentedIdentity): Presented | null {
  try {
    return parsePresented(presented);
  } catch {
    return null;
  }
}
