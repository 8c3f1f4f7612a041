import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

/** Where a workload in a cloud gets its token from, as the cloud documents it. */
export interface CloudEndpoints {
  /** Whom tokens of Google's and AWS's are to be for. */
  readonly audience: string;
  /** The application of Entra's that tokens are to be for. */
  readonly application: string;
  readonly accessKeyId: string;
  readonly mint: (cloud: "google" | "aws" | "entra") => Promise<string>;
}

type Answered = Promise<void> | null;

/** Answers what a metadata server or STS is asked for; null is a request for something else. */
export function answerAsCloud(
  request: IncomingMessage,
  response: ServerResponse,
  cloud: CloudEndpoints,
): Answered {
  const url = new URL(request.url ?? "/", "https://cloud.test");
  switch (url.pathname.replace(/\/$/, "")) {
    case "/computeMetadata/v1/instance/service-accounts/default/identity":
      return google(request, response, url.searchParams, cloud);
    case "/metadata/identity/oauth2/token":
      return azure(request, response, url.searchParams, cloud);
    case "/sts":
      return sts(request, response, cloud);
    default:
      return null;
  }
}

const refuse = (response: ServerResponse, status: number): void => {
  response.writeHead(status).end();
};

/** https://cloud.google.com/compute/docs/instances/verifying-instance-identity */
async function google(
  { headers }: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  { audience, mint }: CloudEndpoints,
): Promise<void> {
  if (headers["metadata-flavor"] !== "Google") return refuse(response, 403);
  const isAsked = query.get("audience") === audience && query.get("format") === "full";
  if (!isAsked) return refuse(response, 400);
  response.writeHead(200, { "content-type": "text/html", "metadata-flavor": "Google" });
  response.end(await mint("google"));
}

/** https://learn.microsoft.com/entra/identity/managed-identities-azure-resources */
async function azure(
  { headers }: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  { application, mint }: CloudEndpoints,
): Promise<void> {
  const isAsked =
    headers["metadata"] === "true" &&
    query.get("api-version") === "2018-02-01" &&
    query.get("resource") === application;
  if (!isAsked) return refuse(response, 400);
  response.writeHead(200, { "content-type": "application/json" });
  const token = await mint("entra");
  response.end(
    JSON.stringify({ access_token: token, resource: application, token_type: "Bearer" }),
  );
}

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html */
async function sts(
  request: IncomingMessage,
  response: ServerResponse,
  { audience, accessKeyId, mint }: CloudEndpoints,
): Promise<void> {
  const form = new URLSearchParams(await text(request));
  const signed = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/`;
  if (request.headers.authorization?.startsWith(signed) !== true) return refuse(response, 403);
  const isAsked =
    form.get("Action") === "GetWebIdentityToken" &&
    form.get("Audience.member.1") === audience &&
    form.get("SigningAlgorithm") === "RS256";
  if (!isAsked) return refuse(response, 400);
  response.writeHead(200, { "content-type": "text/xml" });
  response.end(`<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetWebIdentityTokenResult>
    <WebIdentityToken>${await mint("aws")}</WebIdentityToken>
    <Expiration>${new Date(Date.now() + 300_000).toISOString()}</Expiration>
  </GetWebIdentityTokenResult>
</GetWebIdentityTokenResponse>`);
}
