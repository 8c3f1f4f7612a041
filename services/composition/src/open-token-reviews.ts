import { readFile } from "node:fs/promises";
import { createTokenReviews, parseKubernetesClusters } from "@mayfly/identity";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import { BrokerError, Secret, type TokenReviews } from "@mayfly/spec";

export interface OpenTokenReviews {
  readonly reviews: TokenReviews;
  close(): Promise<void>;
}

const VARIABLE = "MAYFLY_KUBERNETES_CLUSTERS_FILE";

/**
 * The clusters of a file, each with the authorities of its own API server. The broker's token for a
 * cluster is read anew for each call, since the kubelet renews it in place. Throws
 * `config_invalid` that names the file.
 */
export async function openTokenReviews(file: string | null): Promise<OpenTokenReviews> {
  const clusters = file === null ? [] : parseKubernetesClusters(await readJson(file), VARIABLE);
  const https: ClosableOutboundHttp[] = [];
  const reviewed = await Promise.all(
    clusters.map(async ({ name, apiServer, caFile, tokenFile }) => {
      const http = createOutboundHttp({ ca: await readText(caFile) });
      https.push(http);
      const readToken = async (): Promise<Secret> => Secret.of((await readText(tokenFile)).trim());
      return { name, apiServer, http, readToken };
    }),
  );
  return {
    reviews: createTokenReviews(reviewed),
    close: async () => {
      await Promise.all(https.map((http) => http.close()));
    },
  };
}

async function readJson(file: string): Promise<unknown> {
  const text = await readText(file);
  try {
    return JSON.parse(text);
  } catch {
    throw new BrokerError("config_invalid", `${VARIABLE}: ${file} is not JSON`, {
      where: VARIABLE,
    });
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new BrokerError("config_invalid", `${VARIABLE}: ${file} cannot be read`, {
      where: VARIABLE,
      cause,
    });
  }
}
