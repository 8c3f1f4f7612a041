import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@mayfly/host";
import { startFakeTokenReviewApi } from "@mayfly/testkit";

export interface ClusterOptions {
  /** For the files that an operator has. */
  readonly own: string;
  /** Whom the pod's token is for. */
  readonly audience: string;
  readonly podToken: string;
  /** Of the cluster's tokens. */
  readonly issuer: string;
}

export interface ClusterStandIn {
  /** What `MAYFLY_KUBERNETES_CLUSTERS_FILE` names. */
  readonly clustersFile: string;
  /** What `kubectl` is, where the page asks the cluster for something, or deletes the account. */
  readonly kubectl: string;
}

const BEARER = "the-brokers-own-token";
const ACCOUNT = "/api/v1/namespaces/pay/serviceaccounts/biller";

/** A cluster's API server that reviews the pod's token until the pod's account is deleted. */
export async function startClusterStandIn(
  { own, audience, podToken, issuer }: ClusterOptions,
  started: AsyncDisposableStack,
): Promise<ClusterStandIn> {
  const api = await startFakeTokenReviewApi({ clock: systemClock, bearer: BEARER });
  started.defer(() => api.close());
  const username = "system:serviceaccount:pay:biller";
  api.know(podToken, { username, uid: "5f0c", audiences: [audience] });
  const accounts = createServer((request, response) => {
    const isDeleted = request.method === "DELETE" && request.url === ACCOUNT;
    if (isDeleted) api.forget(podToken);
    response.writeHead(isDeleted ? 200 : 404).end();
  });
  await new Promise<void>((resolve) => accounts.listen(0, "127.0.0.1", resolve));
  started.defer(async () => {
    accounts.closeAllConnections();
    await new Promise<void>((resolve) => accounts.close(() => resolve()));
  });
  const { port } = accounts.address() as AddressInfo;
  const [clustersFile, ca, token] = ["clusters.json", "cluster-ca.pem", "cluster-token"].map(
    (name) => join(own, name),
  ) as [string, string, string];
  await writeFile(ca, api.ca);
  await writeFile(token, BEARER, { mode: 0o600 });
  const cluster = { api_server: api.origin, ca_file: ca, token_file: token };
  await writeFile(clustersFile, JSON.stringify({ prod: cluster }));
  return {
    clustersFile,
    kubectl: `case "$*" in
  "get --raw /.well-known/openid-configuration")
    exec curl --silent --fail '${issuer}/.well-known/openid-configuration' ;;
  "delete serviceaccount biller --namespace pay")
    exec curl --silent --fail --request DELETE 'http://127.0.0.1:${port}${ACCOUNT}' ;;
esac
echo "kubectl: nothing stands in for: $*" >&2
exit 1`,
  };
}
