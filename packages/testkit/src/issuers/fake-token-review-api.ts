import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "@mayfly/spec";
import { createTestX509Authority } from "./test-x509-authority.ts";

/** How it answers instead of reviewing. */
export type ReviewFailure = "status" | "hang" | "not_json" | "other_kind" | "redirect" | "reset";

/** Who the API server says that a token's bearer is, while nothing of it is deleted. */
export interface KnownToken {
  readonly username: string;
  readonly uid: string;
  readonly audiences: readonly string[];
}

/**
 * TokenReview as a Kubernetes API server offers it, over real TLS with authorities of its own: a
 * caller needs a bearer token, and a token of what was deleted is not authenticated.
 */
export interface FakeTokenReviewApi {
  /** `https://127.0.0.1:<port>` */
  readonly origin: string;
  /** PEM of the authority of its certificate. */
  readonly ca: string;
  know(token: string, who: KnownToken): void;
  /** The token's pod or service account is deleted. */
  forget(token: string): void;
  fail(failure: ReviewFailure | null): void;
  /** Reviews that are answered only once `release` is called. */
  hold(): { release(): void };
  readonly reviews: number;
  close(): Promise<void>;
}

export async function startFakeTokenReviewApi(options: {
  readonly clock: Clock;
  /** The bearer token that callers must have. */
  readonly bearer: string;
}): Promise<FakeTokenReviewApi> {
  const years = { from: Date.UTC(2020), until: Date.UTC(2100) };
  const authority = createTestX509Authority({ clock: options.clock, change: years });
  const { pem } = authority.issue({
    ...years,
    names: [{ iPAddress: "127.0.0.1" }],
    subject: "kube-apiserver",
  });
  const known = new Map<string, KnownToken>();
  let failure: ReviewFailure | null = null;
  let held: PromiseWithResolvers<void> | null = null;
  let reviews = 0;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request);
    reviews += 1;
    await held?.promise;
    if (failure !== null) return misbehave(response, failure);
    if (
      request.method !== "POST" ||
      request.url !== "/apis/authentication.k8s.io/v1/tokenreviews" ||
      request.headers.authorization !== `Bearer ${options.bearer}`
    ) {
      response.writeHead(401).end(JSON.stringify({ kind: "Status", code: 401 }));
      return;
    }
    response.writeHead(201, { "content-type": "application/json" });
    response.end(JSON.stringify(reviewed(body, known)));
  };
  const server = createServer({ cert: pem.cert, key: pem.key }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    // An HTTPS server that listens on a port has one.
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: authority.pem,
    know: (token, who) => known.set(token, who),
    forget: (token) => known.delete(token),
    fail: (next) => {
      failure = next;
    },
    hold: () => {
      const gate = Promise.withResolvers<void>();
      held = gate;
      return {
        release: () => {
          held = null;
          gate.resolve();
        },
      };
    },
    get reviews() {
      return reviews;
    },
    close: () => close(server),
  };
}

/** As the API server does: audiences are those of the token that were asked for. */
function reviewed(body: string, known: ReadonlyMap<string, KnownToken>): unknown {
  const review = JSON.parse(body) as {
    readonly spec: { readonly token: string; readonly audiences: readonly string[] };
  };
  const who = known.get(review.spec.token);
  const audiences = review.spec.audiences.filter((each) => who?.audiences.includes(each) === true);
  const head = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: review.spec };
  if (who === undefined || audiences.length === 0) {
    return { ...head, status: { user: {}, error: "[invalid bearer token, token is expired]" } };
  }
  const user = { username: who.username, uid: who.uid, groups: ["system:serviceaccounts"] };
  return { ...head, status: { authenticated: true, user, audiences } };
}

function misbehave(response: ServerResponse, failure: ReviewFailure): void {
  switch (failure) {
    case "status":
      response.writeHead(500).end("{}");
      return;
    case "not_json":
      response.writeHead(201).end("<html>");
      return;
    case "other_kind":
      response.writeHead(201).end(JSON.stringify({ kind: "Status", status: "Success" }));
      return;
    case "redirect":
      response.writeHead(302, { location: "https://127.0.0.1:1/" }).end();
      return;
    case "reset":
      response.destroy();
      return;
    case "hang":
      return;
  }
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) if (chunk instanceof Buffer) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });
}
