import { systemClock, systemRandom } from "@mayfly/host";
import { BackendBench } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  type CustomerPostgres,
  type CustomerPostgresOptions,
  type CustomerUpstream,
} from "@mayfly/testkit/vitest";
import { postgresBackend } from "../postgres-backend.ts";

/** A customer's server of one's own, and the PostgreSQL backend open on it. */
export interface PostgresBench {
  readonly customer: CustomerPostgres;
  readonly upstream: CustomerUpstream;
  readonly bench: BackendBench;
  stop(): Promise<void>;
}

/** On the real clock: what a server does in time cannot be injected. */
export async function startPostgresBench(
  options: CustomerPostgresOptions = {},
): Promise<PostgresBench> {
  const customer = await startCustomerPostgres(options);
  const upstream = customerUpstream(customer, { clock: systemClock, random: systemRandom });
  const bench = new BackendBench({ backend: postgresBackend }, upstream);
  return {
    customer,
    upstream,
    bench,
    stop: async () => {
      await bench.open.close();
      await customer.stop();
    },
  };
}
