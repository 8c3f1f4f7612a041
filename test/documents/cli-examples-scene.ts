/** Beside what a scenario has, for the commands of the examples. */
export const SET_UP: Readonly<Record<string, string>> = {
  ORDERS_DB_PASSWORD: "orders-of-the-examples",
  MAYFLY_IDENTITY_FILE: ".mayfly/dev/workloads/invoice-bot.jwt-svid",
  NO_COLOR: "1",
};

const backend = (name: string): string => `backend: ${name}
type: postgres
config:
  host: 127.0.0.1
  port: 8432
  database: orders
  username: mayfly
  password: { from: env:ORDERS_DB_PASSWORD }
  tls: unsafe_disable
`;
const TOKENS = `backend: orders-api
type: jwt
config:
  audiences: [https://orders.demo.test]
`;
const role = (name: string, group: string, reversibility: string): string => `role: ${name}
description: The group role ${group}
member_of: ${group}
owner: app_owner
ttl_max: 30m
data_class: internal
reversibility: ${reversibility}
environment: dev
`;
const RESOURCE_SERVER = `resource_server: reports-api
description: Reports
identities:
  - spiffe_id: spiffe://demo.test/api/reports
audiences: [https://reports.demo.test]
task_tokens: [orders-db]
`;
const POLICIES = `@id("the-invoice-bot-may")
@description("All of the examples.")
permit (
  principal == Workload::"spiffe://demo.test/agent/invoice-bot",
  action == Action::"issue",
  resource
);
`;
const POLICY_TESTS = `- name: the invoice bot reads orders
  workload: spiffe://demo.test/agent/invoice-bot
  issue: orders-db/reader
  expect: permit
  because: [the-invoice-bot-may]
`;
/** Registers what the examples name, has some tasks lived, and prints the ids that they show. */
const SCRIPT = `
psql -d orders -qc "ALTER ROLE mayfly PASSWORD 'orders-of-the-examples'"
mayfly backend put mayfly/backends/orders-db.yaml
mayfly backend put examples/a-db.yaml
mayfly backend put examples/b-db.yaml
mayfly backend put mayfly/backends/orders-api.yaml
mayfly role put examples/a-db-reader.yaml
mayfly role put examples/b-db-writer.yaml
mayfly policy activate mayfly/policies --yes
mayfly trust put mayfly/trust/acme.test.yaml
mayfly resource-server put mayfly/resource-servers/reports.yaml
exchange() {
  curl -s --fail-with-body "$MAYFLY_URL/token" \\
    --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\
    --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:jwt \\
    --data-urlencode subject_token@.mayfly/dev/workloads/invoice-bot.jwt-svid \\
    --data-urlencode 'authorization_details=[{"type":"mayfly-task","goal":"an example",
      "ref":"JIRA-4711","deadline":"10m","credentials":[{"role":"orders-db/reader"}]}]'
}
exchange > ended.json
mayfly lease end "$(jq -r '.credentials[0].lease' ended.json)" --yes
exchange > spare.json
exchange > kept.json
jq -r '.credentials[0].data.password' kept.json > leaked.txt
mayfly lease end --workload spiffe://demo.test/agent/nobody --yes || true
mayfly ledger export --limit 10 --output october.ndjson
mayfly ledger export --from 10 --output november.ndjson
lease=$(jq -r '.credentials[0].lease' kept.json)
mayfly lease show "$lease" --json > lease.json
echo
jq -nc --arg task "$(jq -r .task.id kept.json)" --arg lease "$lease" \\
  --arg spare_task "$(jq -r .task.id spare.json)" \\
  --arg spare_lease "$(jq -r '.credentials[0].lease' spare.json)" \\
  --arg decision "$(jq -r .decision lease.json)" \\
  --arg ended "$(mayfly end list --json | jq -rs '.[0].id')" \\
  --arg kid "$(mayfly signing-key list --json | jq -rs '.[-1].kid')" \\
  --arg digest "$(mayfly policy history --json | jq -rs '.[0].digest')" \\
  '{task: $task, lease: $lease, dec: $decision, end: $ended, kid: $kid, digest: $digest,
    spare_task: $spare_task, spare_lease: $spare_lease}'
`;

/** By path from the reader's folder. */
export const EXAMPLE_FILES: Readonly<Record<string, string>> = {
  "mayfly/backends/orders-db.yaml": backend("orders-db"),
  "mayfly/backends/orders-api.yaml": TOKENS,
  "mayfly/roles/orders-db.yaml": role("orders-db/reader", "app_reader", "read_only"),
  "mayfly/policies/invoices.cedar": POLICIES,
  "mayfly/policies/invoices.test.yaml": POLICY_TESTS,
  "mayfly/resource-servers/reports.yaml": RESOURCE_SERVER,
  "a.cedar": POLICIES,
  "backends/orders-db.yaml": backend("orders-db"),
  "roles/orders-db.yaml": role("orders-db/reader", "app_reader", "read_only"),
  "a.test.yaml": POLICY_TESTS,
  "examples/a-db.yaml": backend("a-db"),
  "examples/b-db.yaml": backend("b-db"),
  "examples/a-db-reader.yaml": role("a-db/reader", "app_reader", "read_only"),
  "examples/b-db-writer.yaml": role("b-db/writer", "app_writer", "reversible"),
  "examples/spare-db.yaml": backend("spare-db"),
  "examples/spare-db-reader.yaml": role("spare-db/reader", "app_reader", "read_only"),
  "report.sh": "#!/bin/sh\nexit 0\n",
  "set-up.sh": SCRIPT,
};
