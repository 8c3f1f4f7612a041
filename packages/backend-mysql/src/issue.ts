import { notSent, refusePast } from "@mayfly/backend-kit";
import {
  Secret,
  type BackendError,
  type IssueContext,
  type IssuePlan,
  type Issued,
} from "@mayfly/spec";
import { quoted, writeHandle, writeMark, type Account } from "./account-mark.ts";
import type { Deadline, Session } from "./endpoint.ts";
import { ERRNO, failures, MysqlFailure } from "./mysql-failure.ts";
import { nativeHash } from "./native-hash.ts";
import { leases, type MysqlGrant } from "./role-settings.ts";
import { NOW_MS, numberIn, type Servers } from "./servers.ts";

/** 256 bits: nothing to guess, whichever way the server hashes it. */
const PASSWORD_BYTES = 32;
/** How much longer than the deadline, which the server itself keeps, we wait for its answers. */
const ANSWER_MS = 2_000;

interface Mint {
  readonly account: Account;
  readonly grant: MysqlGrant;
  readonly mark: string;
  readonly password: string;
  readonly issueBy: number;
}

/**
 * Several statements, since the server commits each account statement by itself: the name is taken
 * in our table, the account is made locked, given its roles, and unlocked last.
 */
export async function issue(
  servers: Servers,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const { settings, host } = servers;
  const account = { name: plan.externalName, host: settings.account_host };
  const mint: Mint = {
    account,
    grant: leases.grantOf(plan),
    mark: writeMark(account, { kind: "lease" }, host),
    password: Buffer.from(host.random.bytes(PASSWORD_BYTES)).toString("base64url"),
    issueBy: context.issueBy,
  };
  const { clock } = host;
  const deadline = {
    signal: context.signal,
    byMs: clock.monotonicMs() + Math.max(0, context.issueBy - clock.now()) + ANSWER_MS,
  };
  await make(servers, mint, context, deadline);
  return {
    material: {
      host: settings.host,
      port: settings.port,
      database: settings.database,
      username: account.name,
      password: Secret.of(mint.password),
      tls: settings.tls,
      url: Secret.of(urlOf(servers, mint)),
    },
    fingerprintOf: "password",
    expiresAt: plan.expiresAt,
    handle: writeHandle(account),
  };
}

async function make(
  servers: Servers,
  mint: Mint,
  context: IssueContext,
  deadline: Deadline,
): Promise<void> {
  let isTaken = false;
  try {
    await servers.mints.session(deadline, async (session) => {
      refusePast(context, "MySQL, issue");
      await takeName(servers, session, mint);
      isTaken = true;
      await createLocked(servers, session, mint);
      await unlock(servers, session, mint, context);
    });
    // MariaDB lets nobody else set it who may not write to the server's own tables.
    refusePast(context, "MySQL, issue");
    const login = { username: mint.account.name, password: mint.password };
    await servers.mints.logInAs(login, deadline, async (session) => {
      await setDefaultRole(servers, session, mint);
    });
  } catch (thrown) {
    if (thrown instanceof MysqlFailure && isOfSameName(thrown)) {
      throw failures.nameTaken("an account", thrown);
    }
    if (thrown instanceof NothingMade) throw thrown.error;
    throw isTaken ? failures.withEffect(thrown, "issue", "unknown") : thrown;
  }
}

/** The mark is gone again, and no account was made. */
class NothingMade extends Error {
  readonly error: BackendError;
  constructor(error: BackendError) {
    super(error.message);
    this.error = error;
  }
}

const isOfSameName = ({ kind, errno }: MysqlFailure): boolean =>
  kind === "refused" && (errno === ERRNO.duplicateEntry || errno === ERRNO.cannotUser);

const tooLate = (): BackendError =>
  notSent("MySQL, issue: it reached the server past its deadline, or after its recovery");

/** The server's clock judges, at the moment at which it has its locks. */
async function takeName(servers: Servers, session: Session, mint: Mint): Promise<void> {
  const { changed } = await session.run(
    `INSERT INTO ${servers.marks} (name, mark) SELECT ?, ? FROM DUAL WHERE ${NOW_MS} <= ?`,
    [mint.account.name, mint.mark, mint.issueBy],
  );
  if (changed === 0) throw tooLate();
}

async function createLocked(servers: Servers, session: Session, mint: Mint): Promise<void> {
  const { account, grant, mark } = mint;
  const tls = servers.settings.tls === "unsafe_disable" ? "" : "REQUIRE SSL ";
  const create =
    `CREATE USER ${quoted(account)} ${tls}` +
    `WITH MAX_USER_CONNECTIONS ${grant.max_user_connections} ACCOUNT LOCK`;
  if (await ranInTime(servers, session, mint, create)) return;
  await session.run(`DELETE FROM ${servers.marks} WHERE name = ? AND mark = ?`, [
    account.name,
    mark,
  ]);
  throw new NothingMade(tooLate());
}

/**
 * One statement by the server's clock, and only while the name is still ours: whoever recovers the
 * lease puts a tombstone in the place of the mark. It may hold no secret, since the server logs it.
 */
async function ranInTime(
  { marks }: Servers,
  session: Session,
  { account, mark, issueBy }: Mint,
  statement: string,
): Promise<boolean> {
  await session.run(
    `SET @mayfly_mint = IF(${NOW_MS} <= ? AND EXISTS (
       SELECT 1 FROM ${marks} WHERE name = ? AND mark = ?), ?, 'DO 0')`,
    [issueBy, account.name, mark, statement],
  );
  await session.run("PREPARE mayfly_mint FROM @mayfly_mint");
  await session.run("EXECUTE mayfly_mint");
  const { rows } = await session.run("SELECT @mayfly_mint = 'DO 0' AS is_late");
  return numberIn(rows[0], "is_late") === 0;
}

/** I4: past the deadline nothing is sent any more; and what is unlocked, is so by the server. */
async function unlock(
  servers: Servers,
  session: Session,
  mint: Mint,
  context: IssueContext,
): Promise<void> {
  const account = quoted(mint.account);
  const isMariaDb = await servers.isMariaDb(session);
  const secret = isMariaDb
    ? `VIA mysql_native_password USING '${nativeHash(mint.password)}'`
    : // MySQL hides it in its logs, where the statement stands by itself.
      `WITH caching_sha2_password BY '${mint.password}'`;
  for (const statement of [
    ...mint.grant.member_of.map((role) => `GRANT \`${role}\` TO ${account}`),
    `ALTER USER ${account} IDENTIFIED ${secret}`,
  ]) {
    refusePast(context, "MySQL, issue");
    await session.run(statement);
  }
  refusePast(context, "MySQL, issue");
  if (!(await ranInTime(servers, session, mint, `ALTER USER ${account} ACCOUNT UNLOCK`))) {
    throw tooLate();
  }
}

async function setDefaultRole(servers: Servers, session: Session, mint: Mint): Promise<void> {
  const [first = ""] = mint.grant.member_of;
  const all = mint.grant.member_of.map((role) => `\`${role}\``).join(", ");
  await session.run(
    (await servers.isMariaDb(session))
      ? `SET DEFAULT ROLE \`${first}\``
      : `SET DEFAULT ROLE ${all} TO ${quoted(mint.account)}`,
  );
}

function urlOf({ settings }: Servers, { account, password }: Mint): string {
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  const database = encodeURIComponent(settings.database);
  return `mysql://${account.name}:${password}@${host}:${settings.port}/${database}`;
}
