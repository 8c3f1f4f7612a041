import {
  configAt,
  ROLE,
  startAwsUpstream,
} from "../../../packages/backend-aws/src/testing/aws-upstream.ts";
import { materialOf } from "../upstreams/upstream.ts";
import { isOf, saying, type RunningServer, type SharedServer } from "./shared-server.ts";

/** Who is let in and who is denied is judged by an evaluator that is not moto's. */
async function start(): Promise<RunningServer> {
  const upstream = await startAwsUpstream();
  const { account, proxy } = upstream;
  const config = configAt(account, { host: "127.0.0.1", port: proxy.port });
  return {
    type: "aws",
    proxy,
    mintSends: [saying("Action=AssumeRole")],
    register: ({ put }) => put("aws", { type: "aws", config }, ROLE),
    liveNames: async (installation) => (await upstream.liveNames()).filter(isOf(installation)),
    accepts: async (data) => (await upstream.tryCredential(materialOf(data, []))) === "accepted",
    stop: () => upstream.stop(),
  };
}

export const sharedAws: SharedServer = { type: "aws", server: "moto", start };
