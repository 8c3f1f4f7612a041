import { hash } from "node:crypto";
import { z } from "zod";
import {
  BrokerError,
  type CallContext,
  type OutboundPost,
  type Secret,
  type TokenReview,
  type TokenReviews,
} from "@mayfly/spec";

/** One cluster as its operators describe it: `{ "prod": { "api_server": "https://…", … } }`. */
export interface KubernetesCluster {
  readonly name: string;
  readonly apiServer: string;
  /** PEM of the authorities of the API server's certificate. */
  readonly caFile: string;
  /** With the broker's own token, which may create TokenReviews; read anew for each call. */
  readonly tokenFile: string;
}

const CLUSTERS_MAX = 64;
const clustersSchema = z
  .record(
    z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/, "expected the name of a cluster"),
    z.strictObject({
      api_server: z
        .string()
        .max(2048)
        .refine((text) => /^https:\/\/[^/?#@\s]+$/.test(text) && URL.canParse(text), {
          message: "expected https://host or https://host:port",
        }),
      ca_file: z.string().min(1),
      token_file: z.string().min(1),
    }),
  )
  .refine((all) => Object.keys(all).length <= CLUSTERS_MAX, {
    message: `expected at most ${CLUSTERS_MAX} clusters`,
  });

/** Strict. Throws `config_invalid` that names the place. */
export function parseKubernetesClusters(input: unknown, where: string): KubernetesCluster[] {
  const parsed = clustersSchema.safeParse(input);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = (issue?.path ?? []).map(String).join(".");
    const what = `${where}: ${place === "" ? "" : `${place}: `}${issue?.message ?? "not acceptable"}`;
    throw new BrokerError("config_invalid", what, { where });
  }
  return Object.entries(parsed.data).map(([name, cluster]) => ({
    name,
    apiServer: cluster.api_server,
    caFile: cluster.ca_file,
    tokenFile: cluster.token_file,
  }));
}

export interface ReviewedCluster {
  readonly name: string;
  readonly apiServer: string;
  /** Verifies the API server with the cluster's own authorities. */
  readonly http: OutboundPost;
  readonly readToken: () => Promise<Secret>;
}

const TIMEOUT_MS = 5000;
const BYTES_MAX = 64 * 1024;
/** Of one cluster; whoever comes beyond it is refused at once. */
const REVIEWS_MAX = 32;

const statusSchema = z.object({
  kind: z.literal("TokenReview"),
  status: z.object({
    authenticated: z.boolean().optional(),
    audiences: z.array(z.string()).optional(),
    user: z.object({ username: z.string().optional(), uid: z.string().optional() }).optional(),
  }),
});

/** TokenReviews over HTTP, `POST /apis/authentication.k8s.io/v1/tokenreviews`. */
export function createTokenReviews(clusters: readonly ReviewedCluster[]): TokenReviews {
  const byName = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  const underWay = new Map<string, Promise<TokenReview>>();
  const counts = new Map<string, number>();

  const start = async (
    cluster: ReviewedCluster,
    token: Secret,
    audience: string,
    context: CallContext,
  ): Promise<TokenReview> => {
    const count = counts.get(cluster.name) ?? 0;
    if (count >= REVIEWS_MAX) throw unavailable("too many reviews are under way");
    counts.set(cluster.name, count + 1);
    try {
      return await ask(cluster, token, audience, context);
    } finally {
      counts.set(cluster.name, (counts.get(cluster.name) ?? 1) - 1);
    }
  };

  return {
    clusters: [...byName.keys()],
    review: (name, token, audience, context) => {
      const cluster = byName.get(name);
      if (cluster === undefined) return Promise.reject(unavailable("there is no such cluster"));
      const key = hash("sha256", `${name} ${audience} ${token.expose("crypto")}`, "hex");
      const shared = underWay.get(key);
      if (shared !== undefined) return shared;
      // Others may wait for it: one caller's cancellation does not end it, its own deadline does.
      const own = { ...context, signal: new AbortController().signal };
      const review = start(cluster, token, audience, own).finally(() => underWay.delete(key));
      underWay.set(key, review);
      return review;
    },
  };
}

async function ask(
  { apiServer, http, readToken }: ReviewedCluster,
  token: Secret,
  audience: string,
  context: CallContext,
): Promise<TokenReview> {
  const bearer = await readToken();
  const body = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: token.expose("upstream"), audiences: [audience] },
  };
  const answer = await http.postJson(
    `${apiServer}/apis/authentication.k8s.io/v1/tokenreviews`,
    { body, bearer },
    // An API server is in its cluster's network, and the operators named this one.
    { timeoutMs: TIMEOUT_MS, maxBytes: BYTES_MAX, unsafeAllowPrivate: true },
    context,
  );
  if (answer.status !== 200 && answer.status !== 201) {
    throw unavailable(`it answered ${answer.status}`);
  }
  const parsed = statusSchema.safeParse(answer.body);
  if (!parsed.success) throw unavailable("its answer is no TokenReview");
  const { authenticated, audiences, user } = parsed.data.status;
  return {
    authenticated: authenticated === true,
    audiences: audiences ?? [],
    username: user?.username ?? null,
    uid: user?.uid ?? null,
  };
}

const unavailable = (why: string): BrokerError =>
  new BrokerError("backend_unavailable", `The cluster's API server could not be asked: ${why}.`);
