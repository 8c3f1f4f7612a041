import { z } from "zod";
import {
  Secret,
  type BackendError,
  type IssueContext,
  type IssuePlan,
  type Issued,
} from "@mayfly/spec";
import { mintSlotsOf } from "./connection-settings.ts";
import type { Lane } from "./lane.ts";
import { writeHandle, writeMark } from "./lease-mark.ts";
import { mintMessage, type Mint } from "./mint-message.ts";
import { MintBatcher, mintedOf } from "./mint-batcher.ts";
import { failures, PgFailure, SQLSTATE } from "./pg-failure.ts";
import { leases } from "./role-settings.ts";
import { scramVerifier } from "./scram-verifier.ts";

/** 256 bits: nothing to guess, whatever the rounds of the verifier. */
const PASSWORD_BYTES = 32;
/** RFC 7677 names no length; 16 bytes is what PostgreSQL itself uses. */
const SALT_BYTES = 16;

const mintedRows = z.array(
  z.object({ rolname: z.string(), oid: z.string(), until_ms: z.string() }),
);

export const createMintBatcher = (lane: Lane): MintBatcher =>
  new MintBatcher(
    async (beforeSend, notAfter) => {
      const { clock } = lane.host;
      // The caller's own signal is heeded by the batcher; a batch has many callers.
      const deadline = {
        signal: lane.closing,
        byMs: clock.monotonicMs() + Math.max(0, notAfter - clock.now()) + ANSWER_MS,
      };
      let mints: readonly Mint[] = [];
      return lane.mints.session(
        deadline,
        async (session) => {
          if (mints.length === 0) return new Map();
          const text = mintMessage(mints, notAfter, notAfter - clock.now());
          const rows = mintedRows.parse((await session.run(text)).at(-1));
          return new Map(rows.map((row) => [row.rolname, mintedOf(row.oid, row.until_ms)]));
        },
        () => {
          mints = beforeSend();
        },
      );
    },
    lane.host.clock,
    mintSlotsOf(lane.settings),
  );

/** How much longer than the deadline, which the server itself keeps, we wait for its answer. */
const ANSWER_MS = 2_000;

export async function issue(
  lane: Lane,
  batcher: MintBatcher,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const { settings, host } = lane;
  const grant = leases.grantOf(plan);
  const password = Buffer.from(host.random.bytes(PASSWORD_BYTES)).toString("base64url");
  const owner = grant.owner ?? settings.reassign_to ?? null;
  const mint: Mint = {
    name: plan.externalName,
    verifier: await scramVerifier({
      password,
      salt: host.random.bytes(SALT_BYTES),
      iterations: settings.scram_iterations,
    }),
    comment: writeMark({ kind: "lease", name: plan.externalName, owner }, host),
    grant,
    expiresAt: plan.expiresAt,
    issueBy: context.issueBy,
  };
  try {
    const minted = await batcher.mint(mint, context.signal);
    return {
      material: {
        host: settings.host,
        port: settings.port,
        database: settings.database,
        username: plan.externalName,
        password: Secret.of(password),
        tls: settings.tls,
        url: Secret.of(urlOf(lane, plan.externalName, password)),
      },
      fingerprintOf: "password",
      expiresAt: minted.validUntil,
      handle: writeHandle({ name: plan.externalName, oid: minted.oid, owner }),
    };
  } catch (thrown) {
    throw issueFailure(thrown);
  }
}

/** libpq's words for the three ways of TLS. */
const SSL_MODE = {
  "verify-full": "verify-full",
  unsafe_require_unverified: "require",
  unsafe_disable: "disable",
} as const;

function urlOf({ settings }: Lane, username: string, password: string): string {
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  const database = encodeURIComponent(settings.database);
  const sslmode = SSL_MODE[settings.tls];
  return `postgresql://${username}:${password}@${host}:${settings.port}/${database}?sslmode=${sslmode}`;
}

export function issueFailure(thrown: unknown): BackendError {
  const taken =
    thrown instanceof PgFailure &&
    (thrown.sqlstate === SQLSTATE.duplicateObject || thrown.sqlstate === SQLSTATE.uniqueViolation);
  return taken ? failures.nameTaken("a role", thrown) : failures.toBackendError(thrown, "issue");
}
