import type { CallContext, OutboundHttp, OutboundJson, OutboundOptions } from "@mayfly/spec";
import { Refusal } from "./refusal.ts";

const TIMEOUT_MS = 5000;
/** The largest bundles in use are near 100 KiB. */
const BYTES_MAX = 512 * 1024;

export type FetchLimits = Pick<
  OutboundOptions,
  "unsafeAllowPrivate" | "judgeServer" | "clientSvid"
>;

/** One bounded GET of a key document; anything but 200 is a failure. */
export async function fetchDocument(
  http: OutboundHttp,
  url: string,
  limits: FetchLimits,
  context: CallContext,
): Promise<OutboundJson> {
  const answer = await http.getJson(
    url,
    { timeoutMs: TIMEOUT_MS, maxBytes: BYTES_MAX, ...limits },
    context,
  );
  if (answer.status !== 200) {
    throw new Refusal("keys_unavailable", `the key document was answered with ${answer.status}`);
  }
  return answer;
}
