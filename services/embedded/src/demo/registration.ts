import type { OrdersDatabase } from "../orders-database.ts";
import { readAt, readList, readText, type BrokerClient, type JsonReply } from "./broker-client.ts";

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

const SOURCE = "orders.cedar";
/** How many policies: of {@link DEMO_POLICIES}. */
export const DEMO_POLICY_COUNT = DEMO_POLICIES.match(/@id\(/g)?.length ?? 0;

export interface Registered {
  /** Not where others were active already. */
  readonly demoPoliciesDecide: boolean;
}

/**
 * Registers trust, backend and roles through the API that a platform team uses, and policies where
 * none is active yet: what somebody activated since an earlier start is theirs.
 */
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
  const { body } = await client.admin("GET", "/v1/policies");
  if (readAt(body, "digest") !== null) {
    const names = readList(body, "sources").map((source) => readText(source, "name"));
    return { demoPoliciesDecide: names.includes(SOURCE) };
  }
  done(
    await client.admin("PUT", "/v1/policies", {
      sources: [{ name: SOURCE, text: DEMO_POLICIES }],
    }),
  );
  return { demoPoliciesDecide: true };
}

function done(reply: JsonReply): void {
  if (reply.status >= 300) {
    throw new Error(
      `registration was answered ${reply.status}: ${readText(reply.body, "detail")} ${JSON.stringify(reply.body)}`,
    );
  }
}
