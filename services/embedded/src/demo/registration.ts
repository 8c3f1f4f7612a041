import type { OrdersDatabase } from "../orders-database.ts";
import { readText, type BrokerClient, type JsonReply } from "./broker-client.ts";

/** The demo's policies, as a platform team would keep them in a file. */
export const DEMO_POLICIES = `
@id("agents-read-orders")
@description("Agents of demo.test may read orders while their task runs, for at most 30 minutes.")
permit (
  principal,
  action == Action::"issue",
  resource == Role::"orders-db/reader"
) when {
  principal.trust_root == "demo.test" && context.task.deadline_seconds <= 1800
};

@id("no-agent-writes-orders")
@description("Orders are written by the shop, never by an agent.")
forbid (
  principal,
  action == Action::"issue",
  resource == Role::"orders-db/writer"
);
`;

export interface Registered {
  readonly policies: number;
}

/** Registers trust, backend, roles and policies through the API that a platform team uses. */
export async function registerOrders(
  client: BrokerClient,
  orders: OrdersDatabase,
  trust: readonly {
    readonly name: string;
    readonly kind: "spiffe" | "oidc";
    readonly config: unknown;
  }[],
): Promise<Registered> {
  for (const root of trust) {
    done(
      await client.admin("PUT", `/v1/trust/${root.name}`, { kind: root.kind, config: root.config }),
    );
  }
  done(
    await client.admin("PUT", "/v1/backends/orders-db", {
      type: "postgres",
      config: {
        host: orders.host,
        port: orders.port,
        database: orders.database,
        username: orders.username,
        password: orders.password,
        tls: "unsafe_disable",
      },
    }),
  );
  for (const [shape, group, reversibility] of [
    ["reader", "app_reader", "read_only"],
    ["writer", "app_writer", "reversible"],
  ]) {
    done(
      await client.admin("PUT", `/v1/roles/orders-db/${shape}`, {
        description: `The group role ${group} of the orders database`,
        member_of: group,
        owner: "app_owner",
        ttl_max: "30m",
        data_class: "confidential",
        reversibility,
        environment: "demo",
      }),
    );
  }
  done(
    await client.admin("PUT", "/v1/policies", {
      sources: [{ name: "orders.cedar", text: DEMO_POLICIES }],
    }),
  );
  return { policies: DEMO_POLICIES.match(/@id\(/g)?.length ?? 0 };
}

function done(reply: JsonReply): void {
  if (reply.status >= 300) {
    throw new Error(
      `registration was answered ${reply.status}: ${readText(reply.body, "detail")} ${JSON.stringify(reply.body)}`,
    );
  }
}
