import { X509Certificate } from "node:crypto";
import { decodeJwt } from "jose";
import type { WrittenSvid } from "./spire-domain.ts";

/** Until an X509-SVID, or a JWT-SVID, expires by itself. */
export function secondsLeft(svid: WrittenSvid | string): number {
  const untilMs =
    typeof svid === "string"
      ? (decodeJwt(svid).exp ?? 0) * 1000
      : new X509Certificate(svid.cert).validToDate.getTime();
  return (untilMs - Date.now()) / 1000;
}
