import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireOrExplain, startSshd } from "@mayfly/embedded";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { textIn } from "../upstreams/upstream.ts";
import type { RunningServer, SharedServer } from "./shared-server.ts";

const HOST_COMMAND = fileURLToPath(
  new URL("../../../packages/backend-ssh/host/mayfly-ssh-host", import.meta.url),
);

async function start(): Promise<RunningServer> {
  const program = (await requireOrExplain("sshd")) ?? "";
  const server = await startSshd(program, { hostCommand: HOST_COMMAND });
  const { host, user, hostKey, ownKey, directory } = server;
  const proxy = await startTcpFaultProxy(server);
  const config = {
    hosts: [{ host, port: proxy.port, host_key: hostKey }],
    user,
    private_key: ownKey,
    leeway_seconds: 0,
  };
  const authorities: string[] = [];
  let files = 0;
  return {
    type: "ssh",
    proxy,
    mintSends: [],
    register: async ({ put, broker }) => {
      await put("ssh", { type: "ssh", config }, { principals: [user] });
      const answer = await fetch(`${broker.api.url}/backends/ssh/authority/ca.pub`);
      authorities.push(await answer.text());
      await server.trust(authorities.join(""));
    },
    // A certificate is nowhere but in its holder's hands.
    liveNames: async () => [],
    accepts: async (data) => {
      const path = join(directory, `holder-${++files}`);
      await writeFile(path, textIn(data, "private_key"), { mode: 0o600 });
      await writeFile(`${path}-cert.pub`, `${textIn(data, "certificate")}\n`);
      const client = server.client(path, "true");
      client.stdout?.resume();
      const [code] = (await once(client, "exit")) as [number | null];
      return code === 0;
    },
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

export const sharedSsh: SharedServer = { type: "ssh", server: "sshd", start };
