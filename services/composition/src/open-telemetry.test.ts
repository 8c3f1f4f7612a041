import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { readWorkerSettings } from "@mayfly/settings";
import { BrokerError } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { openTelemetry } from "./open-telemetry.ts";

const open = (more: Readonly<Record<string, string>> = {}) =>
  openTelemetry(
    readWorkerSettings(
      {
        MAYFLY_ISSUER: "https://mayfly.test",
        MAYFLY_DATABASE_URL: "postgres://worker:hunter2@db/mayfly",
        MAYFLY_SEALING_KEYS: "none",
        ...more,
      },
      () => "",
    ),
    "worker",
    () => createRecordingLog(),
  );

async function refusalOf(promise: Promise<unknown>): Promise<BrokerError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (BrokerError.is(error)) return error;
  throw new Error("it was not refused", { cause: error });
}

test("nobody watches unless somebody asked for it", async () => {
  const telemetry = await open();
  expect(telemetry.metrics).toBeNull();
  expect(telemetry.observing).toBeNull();
  await telemetry.serve();
  await telemetry.close();
});

test("an address that is taken is refused by the setting's name", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  // Of a server that listens on a port.
  const { port } = taken.address() as AddressInfo;
  const telemetry = await open({ MAYFLY_METRICS_LISTEN: `127.0.0.1:${port}` });
  const refusal = await refusalOf(telemetry.serve());
  expect(refusal.code).toBe("config_invalid");
  expect(refusal.message).toContain("MAYFLY_METRICS_LISTEN");
  await telemetry.close();
  taken.close();
});

test.each(["hunter2", "a=", "=hunter2", "a b=hunter2", "a=hunter2\r\nb: c", "a=hunter2,,"])(
  "headers for the collector that are none are refused, without showing them: %j",
  async (text) => {
    const url = "http://collector.test:4318/v1/traces";
    const settings = { MAYFLY_TRACES_URL: url, MAYFLY_TRACES_HEADERS: text };
    const refusal = await refusalOf(open(settings));
    expect(refusal.code).toBe("config_invalid");
    expect(refusal.message).not.toContain("hunter2");
  },
);
