import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { describe } from "vitest";
import { rabbitmqBackend } from "./rabbitmq-backend.ts";
import { startRabbitUpstream } from "./testing/rabbitmq-upstream.ts";

const program = await requireOrExplain("rabbitmq");
const canary = 'canary-of-the-broker\'s "own" password';
const config = { host: "rabbit.test", username: "mayfly", password: canary };
const role = {
  vhost: "orders",
  configure: "",
  write: "orders\\..*|stock",
  read: "(orders|stock)\\.[a-z]+",
  topics: [{ exchange: "events", write: "orders\\..*", read: ".*" }],
};

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        port: 443,
        tls: "unsafe_disable",
        amqp: { host: "amqp.test", port: 5672, tls: false },
        call_seconds_max: 3,
      },
      config,
    ],
    bad: [
      { input: { ...config, host: "a b" }, names: "config.host" },
      { input: { ...config, port: 0 }, names: "config.port" },
      { input: { ...config, username: "may:fly" }, names: "config.username" },
      { input: { ...config, password: undefined }, names: "config.password" },
      { input: { ...config, tls: "prefer" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
      { input: { ...config, amqp: { prot: 1 } }, names: "config.amqp.prot" },
      { input: { ...config, call_seconds_max: 11 }, names: "config.call_seconds_max" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [role, { vhost: "/" }],
    bad: [
      { input: {}, names: "role.vhost" },
      { input: { ...role, vhost: "" }, names: "role.vhost" },
      { input: { ...role, vhost: ".." }, names: "role.vhost" },
      { input: { ...role, write: "a)|(b" }, names: "role.write" },
      { input: { ...role, read: "(?i)a" }, names: "role.read" },
      { input: { ...role, read: "(?=a)" }, names: "role.read" },
      { input: { ...role, read: "\\Qa" }, names: "role.read" },
      { input: { ...role, configure: "[[:alpha:](]" }, names: "role.configure" },
      { input: { ...role, configure: "a\nb" }, names: "role.configure" },
      { input: { ...role, topics: [{ exchange: "events" }] }, names: "role.topics[0]" },
      { input: { ...role, topics: [...role.topics, ...role.topics] }, names: "role.topics" },
      {
        input: { ...role, topics: [{ exchange: "e", write: "{username}", read: "" }] },
        names: "role.topics[0].write",
      },
    ],
  },
  params: {
    valid: [
      {
        configure: "",
        write: "stock",
        read: "",
        topics: [{ exchange: "events", write: "", read: "" }],
      },
      {},
    ],
    bad: [{ input: { vhost: "other" }, names: "params.vhost" }],
  },
  narrowing: {
    role,
    wide: {},
    narrow: {
      write: "orders\\.7\\.[a-z]|stock",
      read: "",
      topics: [
        { exchange: "events", write: "orders\\.7", read: "" },
        { exchange: "other", write: "", read: "" },
      ],
    },
    tooWide: [
      { configure: "orders" },
      { write: ".*" },
      { write: "orders.*" },
      { write: "stocks" },
      { write: "stock|prices" },
      { read: "orders\\.[a-z0-9]+" },
      { topics: [] },
      { topics: [{ exchange: "events", write: ".*", read: ".*" }] },
      { topics: [{ exchange: "other", write: "", read: "" }] },
    ],
  },
};

describe.runIf(program !== undefined)("on a real server", () => {
  describeBackendContract({
    name: "RabbitMQ",
    backend: rabbitmqBackend,
    inputs,
    // Nothing listens on port 1 (tcpmux).
    unreachableConfig: { ...config, host: "127.0.0.1", port: 1, tls: "unsafe_disable" },
    protocol: "http",
    start: () => startRabbitUpstream(),
  });
});
