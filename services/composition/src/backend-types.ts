import { awsBackend } from "@mayfly/backend-aws";
import { jwtBackend } from "@mayfly/backend-jwt";
import { UNWATCHED_LIMITS, withLimits, type LimitWatch } from "@mayfly/backend-kit";
import { mysqlBackend } from "@mayfly/backend-mysql";
import { postgresBackend } from "@mayfly/backend-postgres";
import { rabbitmqBackend } from "@mayfly/backend-rabbitmq";
import { redisBackend } from "@mayfly/backend-redis";
import { sshBackend } from "@mayfly/backend-ssh";
import { staticBackend } from "@mayfly/backend-static";
import { vaultBackend } from "@mayfly/backend-vault";
import { webhookBackend } from "@mayfly/backend-webhook";
import { x509Backend } from "@mayfly/backend-x509";
import type { CredentialBackend } from "@mayfly/spec";

/**
 * The backend types that this installation offers: all that a new one touches outside its package
 * is a line here, one in this package's manifest, and what is generated from it.
 */
const TYPES: readonly CredentialBackend[] = [
  postgresBackend,
  mysqlBackend,
  redisBackend,
  rabbitmqBackend,
  awsBackend,
  jwtBackend,
  webhookBackend,
  staticBackend,
  x509Backend,
  vaultBackend,
  sshBackend,
];

/** Each with what every type has: the limits of its configuration. */
export const backendTypes = (watch: LimitWatch): readonly CredentialBackend[] =>
  TYPES.map((type) => withLimits(type, watch));

/** The same for whoever reads of them and opens none. */
export const BACKEND_TYPES = backendTypes(UNWATCHED_LIMITS);
