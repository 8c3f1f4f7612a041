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
    register: async ({ put, mayfly }) => {
      // Of its own, as the page says: what another backend's denies take of a role is not its room.
      const iamRoles = ["reader-1", "reader-2"].map((name) => `agents/${mayfly.id}-${name}`);
      await account.addRoles(iamRoles);
      await put("aws", { type: "aws", config }, { ...ROLE, iam_roles: iamRoles });
    },
    liveNames: async (installation) => (await upstream.liveNames()).filter(isOf(installation)),
    accepts: async (data) => (await upstream.tryCredential(materialOf(data, []))) === "accepted",
    stop: () => upstream.stop(),
  };
}

export const sharedAws: SharedServer = { type: "aws", server: "moto", start };
