import { BrokerError } from "@mayfly/spec";

/**
 * SPIFFE Workload Endpoint section 4: `unix:///absolute/path`, or `tcp://` with an IP address and a
 * port; in gRPC's names for both. Throws `config_invalid`.
 */
export function agentAddress(socket: string): string {
  const unix = /^unix:(?:\/\/)?(\/[^?#]+)$/.exec(socket)?.[1];
  if (unix !== undefined) return `unix://${unix}`;
  const tcp = /^tcp:\/\/((?:\d{1,3}\.){3}\d{1,3}:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/.exec(socket);
  const [, address] = tcp ?? [];
  if (address !== undefined) return `dns:${address}`;
  throw new BrokerError(
    "config_invalid",
    "expected a Workload API endpoint: unix:///path, or tcp:// with an IP address and a port",
  );
}
