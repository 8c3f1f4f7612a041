import type { PresentedIdentity } from "@mayfly/spec";
import { parseCompactJwt, type CompactJwt } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";
import { parsePresentedChain, type PresentedChain } from "./x509/presented-chain.ts";

/** What was presented, taken apart once for all trust roots. Nothing of it is verified. */
export type Presented =
  | { readonly kind: "jwt"; readonly jwt: CompactJwt }
  | { readonly kind: "x509"; readonly chain: PresentedChain };

/** Throws a Refusal. */
export function parsePresented(presented: PresentedIdentity): Presented {
  switch (presented.kind) {
    case "jwt":
      return { kind: "jwt", jwt: parseCompactJwt(presented.token.expose("crypto")) };
    case "x509":
      return { kind: "x509", chain: parsePresentedChain(presented.chain) };
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
