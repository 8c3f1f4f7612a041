import { once } from "node:events";
import type { Server } from "node:http";
import type { Clock, Log } from "@mayfly/spec";
import type { Afterwork } from "./http/afterwork.ts";

export type StopOutcome = "stopped" | "forced";

export interface StopPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly afterwork: Afterwork;
  readonly settings: { readonly drainSeconds: number; readonly stopSeconds: number };
}

/** How long what was cut may take to request the end of what it had minted. */
const AFTERWORK_MS_MAX = 10_000;

/**
 * Stops a server whose readiness says no already: goes on serving for the drain, lets requests
 * under way end for `stopSeconds`, then cuts them. Either way it waits until what they had begun is
 * settled: a credential whose reply was cut has its end requested. New connections are refused
 * after the drain; those that are kept alive are closed with their next answer.
 */
export async function stopServer(server: Server, ports: StopPorts): Promise<StopOutcome> {
  const { clock, log, settings } = ports;
  log.info("broker stops", { drain_seconds: settings.drainSeconds });
  if (settings.drainSeconds > 0) await clock.sleep(settings.drainSeconds * 1000);
  const closed = once(server, "close").then(() => "stopped" as const);
  server.close();
  server.closeIdleConnections();
  const late = new AbortController();
  const outcome = await Promise.race([
    closed,
    clock.sleep(settings.stopSeconds * 1000, late.signal).then(
      () => "forced" as const,
      () => closed,
    ),
  ]);
  late.abort();
  if (outcome === "forced") {
    log.warn("requests under way are cut: they took longer than a stop may", {
      stop_seconds: settings.stopSeconds,
    });
    server.closeAllConnections();
    await closed;
  }
  await settled(ports);
  return outcome;
}

async function settled({ clock, log, afterwork }: StopPorts): Promise<void> {
  const late = new AbortController();
  const isIdle = await Promise.race([
    afterwork.idle().then(() => true),
    clock.sleep(AFTERWORK_MS_MAX, late.signal).then(
      () => false,
      () => true,
    ),
  ]);
  late.abort();
  if (!isIdle) log.warn("work of requests that were cut is still under way", {});
}
