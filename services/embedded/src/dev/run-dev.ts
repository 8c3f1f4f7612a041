import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@mayfly/host";
import { createBrokerClient } from "../demo/broker-client.ts";
import { registerOrders } from "../demo/registration.ts";
import { startEmbedded, type Embedded } from "../start-embedded.ts";
import { keepTokens } from "./keep-tokens.ts";

const PORTS = { broker: 8420, postgres: 8432, issuer: 8421 } as const;
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const fileOf = (folder: string, name: string): string => join(folder, "workloads", name);

export interface DevOptions {
  readonly demoWorkloads: boolean;
  /** Absolute; made if it is not there. */
  readonly folder: string;
}

/** Starts everything on fixed ports, says where, and stays until it is told to stop. */
export async function runDev({ demoWorkloads, folder }: DevOptions): Promise<void> {
  await using started = new AsyncDisposableStack();
  const embedded = await startEmbedded({ folder, ports: PORTS, persistent: true });
  started.defer(() => embedded.close());
  await writeFile(join(folder, "postgres-url"), postgresUrl(embedded), { mode: 0o600 });
  if (demoWorkloads) started.use(await prepareWorkloads(embedded, folder));
  introduce(embedded, folder, demoWorkloads);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  say("\n  stopping");
}

/** For databases to play with, beside the ledger: its superuser's login, in a file of mode 0600. */
function postgresUrl({ ordersSuperuserUrl }: Embedded): string {
  const url = new URL(ordersSuperuserUrl);
  url.pathname = "/postgres";
  return `${url.href}\n`;
}

/** Registers the demo's orders, and keeps fresh tokens of demo workloads in files. */
async function prepareWorkloads(embedded: Embedded, folder: string): Promise<AsyncDisposable> {
  const client = createBrokerClient(embedded.brokerUrl, embedded.adminToken);
  const { demoPoliciesDecide } = await registerOrders(client, embedded.orders, embedded.trust);
  if (!demoPoliciesDecide) say("\n  Other policies are active than the demo's: they decide.");
  return keepTokens({
    folder: join(folder, "workloads"),
    tokens: {
      "invoice-bot.jwt-svid": () => embedded.svid("invoice-bot"),
      "ci.oidc-token": () => embedded.oidcToken("ci"),
    },
    clock: systemClock,
    failed: (error) => say(`\n  no fresh tokens of the demo's workloads: ${String(error)}`),
  });
}

function introduce(embedded: Embedded, folder: string, demoWorkloads: boolean): void {
  say("\n  Mayfly  credentials that live as long as the task\n");
  say(`  broker      ${embedded.brokerUrl}`);
  say(
    `  ledger      PostgreSQL ${embedded.orders.serverVersion}, 127.0.0.1:${embedded.orders.port}`,
  );
  say(`  issuer      ${embedded.issuerUrl}   (unsafe: signs whatever it is asked to)`);
  say(`  data        ${folder}`);
  say(`  log         ${join(folder, "mayfly.log")}`);
  say(`  admin       ${join(folder, "admin-token")} holds the administrator's token`);
  if (demoWorkloads) say(firstExchange(embedded.brokerUrl, fileOf(folder, "invoice-bot.jwt-svid")));
  else
    say(
      "\n  Next: npm run dev -- --demo-workloads   (tokens of demo workloads, and orders to read)",
    );
  say("\n  Ctrl-C stops everything.");
}

const firstExchange = (url: string, svidFile: string): string => `
  A first exchange (the token lives 5 minutes, and its file gets a fresh one every 2):

  curl -s ${url}/token \\
    --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\
    --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:jwt \\
    --data-urlencode subject_token@${svidFile} \\
    --data-urlencode 'authorization_details=[{"type":"mayfly-task","goal":"look at orders",
      "deadline":"10m","credentials":[{"role":"orders-db/reader"}]}]'`;
