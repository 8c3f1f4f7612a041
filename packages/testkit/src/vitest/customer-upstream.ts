import { Secret, type Clock, type Issued, type Random } from "@mayfly/spec";
import type { ContractUpstream } from "../contract/index.ts";
import { createRecordingLog, type RecordingLog } from "../recording-log.ts";
import { createTestBackendHost } from "../test-backend-host.ts";
import type { CustomerPostgres } from "./customer-postgres.ts";

/** User name and password of an issued PostgreSQL credential. */
export function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

export async function tryLogin(
  customer: CustomerPostgres,
  material: Issued["material"],
): Promise<"accepted" | "refused"> {
  const sql = customer.connect(...accountOf(material));
  try {
    await sql`SELECT 1`;
    return "accepted";
  } catch {
    return "refused";
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Writers of pg_authid wait, readers and logins do not. */
export async function lockRoles(customer: CustomerPostgres): Promise<{ release(): Promise<void> }> {
  const session = await customer.sql().reserve();
  await session.unsafe("BEGIN; LOCK TABLE pg_authid IN SHARE ROW EXCLUSIVE MODE").simple();
  return {
    release: async () => {
      await session.unsafe("ROLLBACK");
      session.release();
    },
  };
}

export interface CustomerUpstream extends ContractUpstream {
  readonly log: RecordingLog;
}

/** A customer's PostgreSQL as the contract suite drives it. */
export function customerUpstream(
  customer: CustomerPostgres,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): CustomerUpstream {
  const log = createRecordingLog();
  const config = {
    host: customer.server.host,
    port: customer.server.port,
    database: customer.database,
    ...customer.broker,
    tls: "unsafe_disable",
  };
  return {
    log,
    clock,
    config,
    role: { member_of: [...customer.groups], owner: customer.owner },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({
        clock,
        random,
        log,
        installation,
        quarantineSeconds: 1,
      }),
    pass: (ms) => clock.sleep(ms),
    tryCredential: (material) => tryLogin(customer, material),
    openSession: async (material) => {
      const sql = customer.connect(...accountOf(material));
      const [first] = await sql`SELECT pg_backend_pid() AS pid`;
      return {
        // The client connects anew when it was cut, so the same process has to answer.
        alive: () =>
          sql`SELECT pg_backend_pid() AS pid, count(*) FROM orders`.then(
            ([now]) => now?.["pid"] === first?.["pid"],
            () => false,
          ),
        close: () => sql.end({ timeout: 0 }),
      };
    },
    liveNames: async () => {
      const rows = await customer.sql()<{ rolname: string }[]>`
        SELECT rolname FROM pg_roles WHERE rolname LIKE 'mf\\_%' AND rolcanlogin ORDER BY 1`;
      return rows.map(({ rolname }) => rolname);
    },
    block: () => lockRoles(customer),
    route: {
      host: customer.server.host,
      port: customer.server.port,
      configAt: (at) => ({ ...config, ...at }),
    },
    forgeMark: async (name) => {
      const [row] = await customer.sql()<{ comment: string }[]>`
        SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles
        WHERE rolname = ${name}`;
      const forged = String(row?.comment).replace(/"tag":"[0-9a-f]{8}/, '"tag":"00000000');
      await customer.sql().unsafe(`COMMENT ON ROLE "${name}" IS '${forged}'`);
    },
    weaken: async () => {
      await customer.sql().unsafe("REVOKE pg_signal_backend FROM mayfly_broker");
      return {
        restore: async () => {
          await customer.sql().unsafe("GRANT pg_signal_backend TO mayfly_broker");
        },
      };
    },
    rotation: {
      madeBy: "mayfly",
      login: async () => ({
        config,
        giveBack: async () => {
          const { username, password } = customer.broker;
          await customer.sql().unsafe(`ALTER ROLE ${username} PASSWORD '${password}'`);
        },
      }),
    },
    stop: () => customer.stop(),
  };
}
