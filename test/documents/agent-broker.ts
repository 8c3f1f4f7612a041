import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@mayfly/embedded";
import { SOURCES } from "../harness/service-process.ts";

/** Another group than that of whoever types: by it SPIRE's agent tells the two apart. */
const GROUP = "nogroup";
const START_SECONDS_MAX = 120;

export interface AgentBrokerOptions {
  /** For its settings, its log and its process id. */
  readonly own: string;
  /** What it is told beside what the page writes into its settings. */
  readonly common: Readonly<Record<string, string>>;
  /** Of the Workload API, without `unix://`. */
  readonly agentSocket: string;
}

export interface AgentBroker {
  /** What restarts it, as `systemctl restart mayfly-broker` does. */
  readonly restart: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A third broker, which the page starts once it has told it where the SPIFFE agent is. It ends with
 * the page's shell.
 */
export async function prepareAgentBroker({
  own,
  common,
  agentSocket,
}: AgentBrokerOptions): Promise<AgentBroker> {
  const [settings, log, pid] = ["broker.env", "broker.log", "broker.pid"].map((name) =>
    join(own, name),
  ) as [string, string, string];
  const port = await freePort();
  const variables = {
    ...common,
    MAYFLY_LISTEN: `127.0.0.1:${port}`,
    NODE_NO_WARNINGS: "1",
    NODE_COMPILE_CACHE: SOURCES.compiled,
  };
  const command = `setpriv --regid=${GROUP} --clear-groups '${process.execPath}' '${SOURCES.broker}'`;
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`);
  await writeFile(settings, lines.join(""), { mode: 0o600 });
  return {
    restart: `set -eu
if [ -f '${pid}' ]; then
  kill "$(cat '${pid}')"
  while kill -0 "$(cat '${pid}')"; do sleep 1; done
fi
env --ignore-environment PATH="$PATH" \\
  sh -c "set -a; . '${settings}'; exec ${command}" > '${log}' 2>&1 &
echo "$!" > '${pid}'
for _ in $(seq ${START_SECONDS_MAX}); do
  ! grep --quiet 'broker listens' '${log}' || exit 0
  kill -0 "$(cat '${pid}')" || break
  sleep 1
done
cat '${log}'
exit 1`,
    env: {
      BROKER_ENV: settings,
      BROKER_GROUP: GROUP,
      BROKER_HOST: "localhost",
      BROKER_PORT: String(port),
      AGENT_SOCKET: agentSocket,
    },
  };
}
