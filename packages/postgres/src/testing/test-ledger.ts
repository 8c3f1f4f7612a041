import postgres from "postgres";
import {
  freshDatabase as emptyDatabase,
  startPostgres,
  type PostgresVersion,
} from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { Secret } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import type { LedgerContractSubject, LedgerUnderTest } from "@mayfly/testkit/contract";
import { freshDatabase, type TestDatabase } from "@mayfly/testkit/vitest";
import type { RolePasswords } from "../database-roles.ts";
import { migrate } from "../migrate.ts";
import { openLedger, type Ledger, type LedgerOptions } from "../open-ledger.ts";

/**
 * Roles belong to the whole server, which all test files share, so all of them have the same
 * password for one run.
 */
const PASSWORD = "a password of tests";
export const TEST_PASSWORDS: RolePasswords = {
  mayfly_broker: Secret.of(PASSWORD),
  mayfly_worker: Secret.of(PASSWORD),
  mayfly_auditor: Secret.of(PASSWORD),
};

type LedgerRole = "mayfly_broker" | "mayfly_worker" | "mayfly_auditor";

export interface TestLedger {
  readonly database: TestDatabase;
  /** The superuser's own connection, to look and to tamper. */
  readonly superuser: postgres.Sql;
  readonly broker: Ledger;
  readonly worker: Ledger;
  /** All ports, each of the process that has it in production. */
  readonly ports: LedgerUnderTest;
  open(role: LedgerRole, more?: Partial<LedgerOptions>): Promise<Ledger>;
  urlOf(role: LedgerRole): string;
  close(): Promise<void>;
}

/** A migrated ledger in a database of its own. */
export async function createTestLedger(
  database?: TestDatabase,
  more: Partial<LedgerOptions> = {},
): Promise<TestLedger> {
  const home = database ?? (await migratedDatabase());
  const superuser = postgres(home.url, { max: 2, onnotice: () => undefined });
  const opened: Ledger[] = [];
  const urlOf: TestLedger["urlOf"] = (role) => home.urlAs(role, PASSWORD);
  const open: TestLedger["open"] = async (role, options = {}) => {
    const ledger = await openLedger({
      url: urlOf(role),
      clock: systemClock,
      random: systemRandom,
      log: createRecordingLog(),
      applicationName: `test-${role}`,
      ...more,
      ...options,
    });
    opened.push(ledger);
    return ledger;
  };
  const [broker, worker] = [await open("mayfly_broker"), await open("mayfly_worker")];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((ledger) => ledger.close()));
    await superuser.end({ timeout: 5 });
  };
  const ports: LedgerUnderTest = {
    issue: broker.issue,
    tasks: broker.tasks,
    sweep: worker.sweep,
    health: broker.health,
    sequencer: worker.sequencer,
    queries: broker.queries,
    selectorEnds: broker.selectorEnds,
    catalog: broker.catalog,
    signingKeys: broker.signingKeys,
    backendKeys: broker.backendKeys,
    backendBudgets: broker.backendBudgets,
    backendNames: broker.backendNames,
    backendSlots: broker.backendSlots,
    proofUses: broker.proofUses,
    bundleSequences: broker.bundleSequences,
    now: () => systemClock.now(),
    pass: (ms) => systemClock.sleep(ms),
    close,
  };
  return { database: home, superuser, broker, worker, ports, open, urlOf, close };
}

/** On a server of its own, of that version. */
export const subjectOn = (version: PostgresVersion): LedgerContractSubject => ({
  name: `PostgreSQL ${version}`,
  create: async () => {
    const server = await startPostgres({ version, unsafeNoFsync: true });
    const url = await emptyDatabase(server);
    await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
    const name = new URL(url).pathname.slice(1);
    const urlAs = (user: string, password: string) => server.url(name, user, password);
    const { ports } = await createTestLedger({ name, url, urlAs });
    const close = async (): Promise<void> => {
      await ports.close();
      await server.stop("immediate");
    };
    return { ...ports, close };
  },
});

export async function migratedDatabase(): Promise<TestDatabase> {
  const database = await freshDatabase({
    prefix: "ledger",
    template: {
      name: "mayfly_ledger",
      make: async (url) => {
        await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
      },
    },
  });
  return database;
}

export const postgresSubject: LedgerContractSubject = {
  name: "PostgreSQL",
  create: async () => (await createTestLedger()).ports,
};
