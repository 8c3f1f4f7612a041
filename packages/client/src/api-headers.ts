import type { AccessToken } from "./credential.ts";
import { invalidOption, MayflyError } from "./mayfly-error.ts";
import type { TaskSession } from "./task-session.ts";

/** One request to an API of your own. */
export interface ApiRequest {
  readonly method: string;
  /** Where it goes, as the API knows itself: behind a proxy, the name that clients use. */
  readonly url: string | URL;
  /** The `DPoP-Nonce` of the API's last answer, where it asks for one (RFC 9449 section 9). */
  readonly nonce?: string;
}

export interface ApiHeaders {
  /** `DPoP` or `Bearer`, and the token in the clear. */
  readonly authorization: string;
  /** Where the token is bound to the task's key: for this one request. */
  readonly dpop?: string;
}

/** RFC 9449 section 7.1, RFC 6750 section 2.1. */
export async function apiHeaders(
  { connection, id }: TaskSession,
  credential: AccessToken,
  { method, url, nonce }: ApiRequest,
): Promise<ApiHeaders> {
  const { token, tokenType } = credential;
  const to = typeof url === "string" ? parsedUrl(url) : url;
  const authorization = `${tokenType} ${token.expose()}`;
  if (tokenType === "Bearer") return { authorization };
  if (connection.key === null) throw noKey(id);
  const aheadMs = connection.http.aheadMs();
  const request = { method: asSent(method), url: to, token, nonce: nonce ?? null, aheadMs };
  return { authorization, dpop: await connection.key.apiProof(request) };
}

/** As `fetch` sends it: these six in capitals, all others as they are. APIs compare each letter. */
const asSent = (method: string): string =>
  /^(?:delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method;

function parsedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw invalidOption("Not the URL of a request: expected https://host/path.", "url");
}

const noKey = (id: string): MayflyError =>
  new MayflyError({
    code: "invalid_option",
    what: `The token is bound to a key, and ${id} has none here.`,
    where: "dpop",
    hint: "Open the task without `dpop: false`, and present its tokens by the task that drew them.",
  });
