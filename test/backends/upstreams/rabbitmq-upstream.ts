import { randomBytes } from "node:crypto";
import { connect, type ChannelModel } from "amqplib";
import { startRabbitmq, type EmbeddedRabbitmq } from "@mayfly/embedded";
import {
  alive,
  CLEAR,
  textIn,
  there,
  verdictOf,
  type CredentialData,
  type Upstream,
} from "./upstream.ts";

const OWN = { username: "mayfly", password: randomBytes(16).toString("hex") };
const SAID = {
  refused: /ACCESS[-_]REFUSED|NOT[-_]ALLOWED/,
  brokenOff: /closed abruptly|ECONNRESET|CONNECTION_FORCED|CONNECTION-FORCED|got <ConnectionClose/,
};

export const rabbitmqUpstream: Upstream = {
  type: "rabbitmq",
  server: "rabbitmq",
  outcome: "revoked",
  refusedBy: "a login (AMQP)",
  register: async ({ put }) => {
    const server = there(await startRabbitmq());
    const { host, apiPort, amqpPort } = server;
    const own = { password: OWN.password, tags: "administrator" };
    await manage(server, "PUT", `users/${OWN.username}`, own);
    const amqp = { port: amqpPort, tls: false };
    const config = { host, port: apiPort, amqp, ...OWN, ...CLEAR };
    await put("rabbitmq", { type: "rabbitmq", config }, { vhost: "/", read: "orders\\..*" });
    const { rabbitmq_version: version } = (await manage(server, "GET", "overview")) as {
      readonly rabbitmq_version: string;
    };
    return {
      version: `RabbitMQ ${version}`,
      tryCredential: (data) =>
        verdictOf(async () => {
          const connection = await logIn(data);
          await connection.close();
        }, SAID),
      openSession: async (data) => {
        const connection = await logIn(data);
        return {
          alive: () => alive(async () => (await connection.createChannel()).close()),
          close: () => connection.close().catch(() => undefined),
        };
      },
      live: async () => {
        const all = (await manage(server, "GET", "users?columns=name")) as readonly {
          readonly name: string;
        }[];
        return all.filter(({ name }) => name.startsWith("mf_")).length;
      },
      ownLogin: async () => ({
        backend: "rabbitmq",
        tryFirst: async () => {
          const { status } = await ask({ ...server, ...OWN }, "GET", "whoami");
          if (status === 401) return "refused";
          return status === 200 ? "accepted" : "broken_off";
        },
      }),
      stop: () => server.stop(),
    };
  },
};

async function logIn(data: CredentialData): Promise<ChannelModel> {
  const connection = await connect(textIn(data, "url"));
  connection.on("error", () => undefined);
  return connection;
}

type Asked = Pick<EmbeddedRabbitmq, "host" | "apiPort"> & {
  readonly username: string;
  readonly password: string;
};

/** As whose name and password it is given: those of the server are its administrator's. */
function ask(
  { host, apiPort, username, password }: Asked,
  method: string,
  path: string,
  body?: object,
): Promise<Response> {
  const credentials = Buffer.from(`${username}:${password}`).toString("base64");
  return fetch(`http://${host}:${apiPort}/api/${path}`, {
    method,
    headers: { authorization: `Basic ${credentials}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function manage(
  server: EmbeddedRabbitmq,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const answer = await ask(server, method, path, body);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return text === "" ? null : (JSON.parse(text) as unknown);
}
