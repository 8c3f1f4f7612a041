import { createHash } from "node:crypto";
import { Secret, type Random } from "@mayfly/spec";

export interface MintedAdminToken {
  readonly token: Secret;
  /** Lowercase hex: all that is stored. */
  readonly sha256: string;
}

/** 256 random bits behind the prefix by which the broker knows it. */
export function mintAdminToken(random: Random): MintedAdminToken {
  const text = `mayfly_admin_${Buffer.from(random.bytes(32)).toString("base64url")}`;
  return { token: Secret.of(text), sha256: createHash("sha256").update(text).digest("hex") };
}
