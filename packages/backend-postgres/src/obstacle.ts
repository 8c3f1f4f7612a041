import { z } from "zod";

/** Why no session came to be, as far as the server or the network said, and what to do about it. */
export interface Obstacle {
  /** In words of our own: those of the server name hosts and users, and stay in the log. */
  readonly what: string;
  readonly fix: string;
  /** Trying again changes nothing: something is written wrong, there or here. */
  readonly lasting: boolean;
}

/** The server hung up where TLS begins. */
export const WITHOUT_TLS: Obstacle = {
  what:
    "nothing was sent: the server hung up where TLS begins, as one without TLS does. Turn TLS on " +
    "there (ssl = on), or set `tls` to unsafe_disable if nobody can listen in between",
  fix: "Turn TLS on at the server, or set `tls`.",
  lasting: false,
};
const LOGIN: Obstacle = {
  what: "the server refused the login",
  fix:
    "Look at `username` and `password`, whether that role may log in (LOGIN), and whether the " +
    "server's pg_hba.conf lets it in from the broker's address.",
  lasting: true,
};
const NO_DATABASE: Obstacle = {
  what: "the server has no database of that name",
  fix: "Look at `database`.",
  lasting: true,
};
const NO_CONNECT: Obstacle = {
  what: "the server lets that role into no such database: it lacks CONNECT",
  fix: "GRANT CONNECT ON DATABASE to the role of `username`, on the one that `database` names.",
  lasting: true,
};
const NO_HOST: Obstacle = {
  what: "the host's name is not known where the broker runs",
  fix: "Look at `host`, and at the name service of the broker's machine.",
  lasting: false,
};
const NOBODY_LISTENS: Obstacle = {
  what: "nobody listens there",
  fix: "Look at `host` and `port`, and whether the server runs and listens on that address.",
  lasting: false,
};
const NO_ANSWER: Obstacle = {
  what: "no answer came from there",
  fix: "Look at `host` and `port`, and at what is between: a firewall, a security group.",
  lasting: false,
};
const HUNG_UP: Obstacle = {
  what: "whoever listens there hung up",
  fix: "Look at `port`: is it a PostgreSQL?",
  lasting: false,
};
const FULL: Obstacle = {
  what: "the server has no connection left for it",
  fix: "Look at max_connections there, and at the role's own limit.",
  lasting: false,
};
const UNTRUSTED: Obstacle = {
  what: "the server's TLS certificate is not trusted for that host",
  fix: "Look at `host`, at the certificate's names and date, and at `ca` if an authority of your own signed it.",
  lasting: true,
};

/** By SQLSTATE of the server, by error code of Node or of the driver. */
const BY_CODE: Readonly<Record<string, Obstacle>> = {
  "28P01": LOGIN,
  "28000": LOGIN,
  "3D000": NO_DATABASE,
  // Of a login; no statement has been sent yet.
  "42501": NO_CONNECT,
  "53300": FULL,
  ENOTFOUND: NO_HOST,
  EAI_AGAIN: NO_HOST,
  ECONNREFUSED: NOBODY_LISTENS,
  EHOSTUNREACH: NO_ANSWER,
  ENETUNREACH: NO_ANSWER,
  ETIMEDOUT: NO_ANSWER,
  CONNECT_TIMEOUT: NO_ANSWER,
  ECONNRESET: HUNG_UP,
  CONNECTION_CLOSED: HUNG_UP,
  CERT_HAS_EXPIRED: UNTRUSTED,
  CERT_NOT_YET_VALID: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: UNTRUSTED,
};

const coded = z.object({ code: z.string(), message: z.string() });

/**
 * Null where nothing is known. The driver goes on to the handshake whatever the server says to its
 * SSLRequest; a server without TLS takes that for a broken start and hangs up.
 */
export function obstacleOf(thrown: unknown): Obstacle | null {
  const { data } = coded.safeParse(thrown);
  if (data === undefined) return null;
  const { code, message } = data;
  if (code === "ECONNRESET" && message.includes("before secure TLS connection")) return WITHOUT_TLS;
  return BY_CODE[code] ?? null;
}
