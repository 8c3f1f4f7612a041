import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { Secret, type Issued } from "@mayfly/spec";
import { revoking, type BackendBench } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { VHOST, type RabbitServer } from "./testing/rabbitmq-server.ts";
import { startRabbitBench } from "./testing/rabbitmq-upstream.ts";

const program = await requireOrExplain("rabbitmq");

interface Login {
  readonly user: string;
  readonly password: string;
}

/** What a client says, and by what it knows that it has been answered. */
interface Step {
  readonly says: Buffer;
  readonly isAnswered: (answer: Buffer) => boolean;
}
const holds = (hex: string) => (answer: Buffer) => answer.includes(Buffer.from(hex, "hex"));

/** How each logs in; the last answer lets it in. */
const PROTOCOLS = {
  stomp: ({ user, password }: Login): readonly Step[] => [
    {
      says: Buffer.from(
        `CONNECT\naccept-version:1.2\nhost:${VHOST}\nlogin:${user}\npasscode:${password}\n\n\0`,
      ),
      isAnswered: (answer) => answer.toString().startsWith("CONNECTED"),
    },
  ],
  // CONNACK, and its code: accepted (MQTT 3.1.1, section 3.2).
  mqtt: ({ user, password }: Login): readonly Step[] => [
    { says: mqttConnect(user, password), isAnswered: holds("20020000") },
  ],
  stream: ({ user, password }: Login): readonly Step[] => [
    { says: frame(0x11, number(1), number(0)), isAnswered: holds("8011000100000001") },
    { says: frame(0x12, number(2)), isAnswered: holds("8012000100000002") },
    { says: streamPassword(user, password), isAnswered: holds("00140001") },
    // It is not answered, and the server takes nothing else with it.
    { says: frame(0x14, number(1_048_576), number(60)), isAnswered: () => true },
    // The answer to `open`, the fourth, with the code for OK.
    { says: frame(0x15, number(4), text(VHOST)), isAnswered: holds("80150001000000040001") },
  ],
} as const;

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

function mqttConnect(user: string, password: string): Buffer {
  const flags = Buffer.from([0x04, 0xc2, 0x00, 0x3c]);
  const body = Buffer.concat([
    text("MQTT"),
    flags,
    text("agent"),
    text(`${VHOST}:${user}`),
    text(password),
  ]);
  const length = [];
  for (let left = body.length; ; left >>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return Buffer.concat([Buffer.from([0x10, ...length]), body]);
}

const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
/** Of the protocol of streams: size, key, version, then what the key has. */
function frame(key: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([0, key, 0, 1]), ...parts]);
  return Buffer.concat([number(body.length), body]);
}
/** Answered when the server proposes its bounds, too. */
function streamPassword(user: string, password: string): Buffer {
  const secret = Buffer.from(`\0${user}\0${password}`);
  return frame(0x13, number(3), text("PLAIN"), number(secret.length), secret);
}

describe.runIf(program !== undefined)("a lease that comes by another protocol", () => {
  let server: RabbitServer;
  let bench: BackendBench;
  let stop: () => Promise<void> = () => Promise.resolve();
  beforeAll(async () => {
    const started = await startRabbitBench({ otherProtocols: true });
    ({ bench } = started);
    ({ server } = started.upstream);
    stop = () => started.stop();
  });
  afterAll(() => stop());

  const loginOf = ({ username, password }: Issued["material"]): Login => {
    if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no login");
    return { user: username, password: password.expose("upstream") };
  };
  /** A connection that was let in, or null; `pauseMs` before each step. */
  async function logIn(
    protocol: keyof typeof PROTOCOLS,
    login: Login,
    pauseMs = 0,
  ): Promise<Socket | null> {
    const socket = connect({ host: server.host, port: server.node.otherPorts[protocol] });
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    let answer = Buffer.alloc(0);
    for (const { says, isAnswered } of PROTOCOLS[protocol](login)) {
      await systemClock.sleep(pauseMs);
      socket.write(says);
      while (!isAnswered(answer)) {
        const [more] = z
          .array(z.unknown())
          .parse(await Promise.race([once(socket, "data"), closed]));
        // Whom it refuses by STOMP the server keeps connected for ten seconds.
        if (!Buffer.isBuffer(more) || more.toString().startsWith("ERROR")) {
          socket.destroy();
          return null;
        }
        answer = Buffer.concat([answer, more]);
      }
    }
    // Else its end would never be seen.
    socket.resume();
    return socket;
  }

  async function letIn(protocol: keyof typeof PROTOCOLS, login: Login): Promise<Socket> {
    for (let pauseMs = 20; pauseMs < 5_000; pauseMs *= 2) {
      const socket = await logIn(protocol, login, pauseMs);
      if (socket !== null) return socket;
    }
    throw new Error(`${protocol} lets nobody in`);
  }

  test.each(["stomp", "mqtt", "stream"] as const)(
    "%s is cut, and let in no more",
    async (protocol) => {
      const { material, handle } = await bench.open.issue(bench.plan(), bench.issueCall());
      const login = loginOf(material);
      const socket = await letIn(protocol, login);
      const closed = once(socket, "close");
      const open = revoking(bench.open);
      const seen = async () => (await open.probe(handle, bench.call())).looked["connections"];
      // The node counts it a moment after it let it in.
      await expect.poll(seen, { timeout: 30_000 }).toBe(1);
      await open.revoke(handle, bench.call());
      expect((await open.probe(handle, bench.call())).verdict).toBe("refused");
      await closed;
      expect(await logIn(protocol, login)).toBeNull();
    },
  );
});
