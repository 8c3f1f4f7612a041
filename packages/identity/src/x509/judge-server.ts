import type { InstantMs } from "@mayfly/spec";
import { Refusal } from "../refusal.ts";
import { checkLeaf } from "./check-leaf.ts";
import type { Certificate } from "./certificate.ts";
import { findPath } from "./find-path.ts";
import { createKnownCertificates } from "./known-certificates.ts";
import { parsePresentedChain } from "./presented-chain.ts";

export interface ServerRules {
  /** Whose server it has to be. */
  readonly spiffeId: string;
  /** Of that id's trust domain. */
  readonly anchors: readonly Certificate[];
  readonly now: InstantMs;
  readonly skewSeconds: number;
}

/**
 * SPIFFE Federation section 5.2.2: the server shows an X509-SVID of exactly this id, and a path
 * leads to an authority of its trust domain. Throws a Refusal.
 */
export function judgeServer(chain: readonly Uint8Array[], rules: ServerRules): void {
  const presented = parsePresentedChain(chain);
  const { leaf, others } = createKnownCertificates().decode(presented, rules.anchors);
  const { id } = checkLeaf(leaf, "server");
  if (id !== rules.spiffeId) throw new Refusal("subject", "the server has another SPIFFE ID");
  findPath(leaf, others, { ...rules, purpose: "server" });
}
