import { randomBytes } from "node:crypto";
import { connect } from "amqplib";
import { startRabbitmq } from "@mayfly/embedded";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { z } from "zod";
import { CLEAR, textIn, there } from "../upstreams/upstream.ts";
import { isOf, saying, type RunningServer, type SharedServer } from "./shared-server.ts";

const OWN = { username: "mayfly", password: randomBytes(16).toString("hex") };
const users = z.array(z.object({ name: z.string(), password_hash: z.string() }));

async function start(): Promise<RunningServer> {
  const server = there(await startRabbitmq());
  const { host, apiPort, amqpPort } = server;
  const credentials = Buffer.from(`${server.username}:${server.password}`).toString("base64");
  const manage = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`http://${host}:${apiPort}/api/${path}`, {
      method,
      headers: { authorization: `Basic ${credentials}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return text === "" ? null : (JSON.parse(text) as unknown);
  };
  await manage("PUT", `users/${OWN.username}`, { password: OWN.password, tags: "administrator" });
  await manage("PUT", "queues/%2F/orders.new", { durable: true });
  const proxy = await startTcpFaultProxy({ host, port: apiPort });
  const amqp = { port: amqpPort, tls: false };
  const config = { host, port: proxy.port, amqp, ...OWN, ...CLEAR };
  const topics = [{ exchange: "amq.topic", write: "", read: "orders\\..*" }];
  const role = { vhost: "/", read: "orders\\..*", topics };
  return {
    type: "rabbitmq",
    proxy,
    mintSends: ["PUT /api/users/", "PUT /api/topic-permissions/", "PUT /api/permissions/"].map(
      saying,
    ),
    register: ({ put }) => put("rabbitmq", { type: "rabbitmq", config }, role),
    // A tombstone has no password.
    liveNames: async (installation) =>
      users
        .parse(await manage("GET", "users"))
        .filter(({ password_hash: hash }) => hash !== "")
        .map(({ name }) => name)
        .filter(isOf(installation)),
    accepts: async (data) => {
      try {
        const connection = await connect(textIn(data, "url"));
        connection.on("error", () => undefined);
        const channel = await connection.createChannel();
        channel.on("error", () => undefined);
        await channel.checkQueue("orders.new");
        await connection.close();
        return true;
      } catch {
        return false;
      }
    },
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

export const sharedRabbitmq: SharedServer = { type: "rabbitmq", server: "rabbitmq", start };
