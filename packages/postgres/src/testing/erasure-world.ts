import { parsePolicyId, type Decision, type Task } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { openErasure, type Erasure } from "../erasure.ts";
import type { PersonSelector } from "../personal-values.ts";
import { createTestLedger, type TestLedger } from "./test-ledger.ts";
import { verifyExport, type ExportedLine } from "../verify-export.ts";

const { activeLease, claimOne, decision, identity, newTask, openTask, registerBackend } =
  ledgerFixtures;

export const NAME = "margarethe.müller@example.test";
export const ALICE: PersonSelector = { by: "initiator", name: NAME };
export const BOB: PersonSelector = { by: "initiator", name: "robert@example.test" };
export interface ErasureWorld extends AsyncDisposable {
  readonly ledger: TestLedger;
  readonly backend: Awaited<ReturnType<typeof registerBackend>>;
  readonly mine: Task;
  readonly child: Task;
  readonly others: Task;
  readonly live: Task;
}

/** A task of hers with all that may hang on it, somebody else's that names her, a live one. */
export async function erasureWorld(): Promise<ErasureWorld> {
  const ledger = await createTestLedger();
  const { ports } = ledger;
  const backend = await registerBackend(ports);
  const bot = identity(ports, "bot-of-hers");
  const open = newTask(ports, { verifiedInitiator: NAME, ref: NAME, identity: bot });
  const goal = `Refund the order of ${NAME}`;
  const named = { ...open, descriptor: { ...open.descriptor, goal, targets: [`db:${NAME}`] } };
  const { task: mine } = await activeLease(ports, backend, { open: named });
  const child = await openTask(ports, { parent: mine, identity: bot });
  await ports.tasks.requestEnd({
    taskId: mine.id,
    state: "killed",
    actor: { kind: "administrator", name: "oscar" },
    reason: `${NAME} left us`,
  });
  await ports.tasks.applyEnd(mine.id);
  const looked = { role: `for ${NAME}` };
  await ports.sweep.settle(await claimOne(ports, backend), {
    kind: "ended",
    outcome: "revoked",
    looked,
  });
  const denied: Decision = {
    ...decision(ports, null),
    request: { action: "issue", task: { verifiedInitiator: NAME, depth: 0 } },
    verdict: {
      effect: "deny",
      why: "forbidden",
      determining: [parsePolicyId("no-prod", "policy")],
      explanation: `Policy 'no-prod' forbids it to ${NAME}.`,
    },
  };
  await ports.issue.recordDenial({ decision: denied, workload: "spiffe://w", role: backend.role });
  const others = await openTask(ports, { verifiedInitiator: BOB.name });
  await ports.tasks.requestEnd({
    taskId: others.id,
    state: "killed",
    actor: { kind: "administrator", name: NAME },
    reason: `ended by ${NAME}`,
  });
  await ports.tasks.applyEnd(others.id);
  const live = await openTask(ports, { claimedInitiator: NAME });
  await sequence(ledger);
  return {
    ledger,
    backend,
    mine,
    child,
    others,
    live,
    [Symbol.asyncDispose]: () => ledger.close(),
  };
}

export async function sequence({ worker }: TestLedger): Promise<void> {
  for (let more = 1; more > 0;) more = await worker.sequencer.append(1000);
}
export const verdict = async ({ worker }: TestLedger) => worker.sequencer.verify(0);

export async function withErasure<T>(
  ledger: TestLedger,
  use: (erasure: Erasure) => Promise<T>,
  batch = 20,
): Promise<T> {
  const erasure = await openErasure({ url: ledger.database.url, batch });
  try {
    return await use(erasure);
  } finally {
    await erasure.close();
  }
}
export const erase = (ledger: TestLedger, selector = ALICE) =>
  withErasure(ledger, (erasure) => erasure.erase(selector, "request 17"));

export async function dump({ superuser }: TestLedger): Promise<string> {
  const tables = await superuser<{ name: string }[]>`
    SELECT format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`;
  let text = "";
  for (const { name } of tables) {
    for await (const chunk of await superuser.unsafe(`COPY ${name} TO STDOUT`).readable()) {
      text += String(chunk);
    }
  }
  return text;
}

/** What the server keeps of values to plan queries. */
export async function statistics({ superuser }: TestLedger): Promise<string> {
  const rows = await superuser`
    SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats
    WHERE schemaname = 'mayfly'`;
  return JSON.stringify(rows);
}

export async function exported(ledger: TestLedger, from = 0): Promise<readonly string[]> {
  let text = "";
  for await (const page of (await ledger.broker.exporter.open(from, 10_000)).pages()) text += page;
  return text.trimEnd().split("\n");
}
async function* asFile(texts: readonly string[]) {
  for (const [at, text] of texts.entries()) {
    yield { file: "log", line: at + 1, text, ended: true } satisfies ExportedLine;
  }
}
export const offline = (texts: readonly string[]) =>
  verifyExport(asFile(texts), { before: null, head: null, installation: null });
