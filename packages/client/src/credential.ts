import { MayflyError } from "./mayfly-error.ts";
import {
  fieldsOf,
  instantOf,
  needed,
  numberIn,
  textIn,
  textOf,
  textsIn,
  type Fields,
} from "./read-answer.ts";
import { Hidden, Secret } from "./secret.ts";

/** What every credential says of itself; nothing of it is secret. */
export interface CredentialFacts {
  /** The lease's id, for `mayfly lease show`. */
  readonly lease: string;
  readonly role: string;
  readonly kind: string;
  readonly expiresAt: Date;
  /** Who stops it at `expiresAt`: `upstream`, `login_only` (new logins), or `broker`. */
  readonly expiryEnforcedBy: string;
  /** How soon it is dead after the end of the task: `immediate`, `propagating` or `none`. */
  readonly revocation: string;
}

/** One credential. It prints as `[secret]`, whole; its secret members are secrets of their own. */
abstract class IssuedCredential<Data> extends Hidden<Data> implements CredentialFacts {
  readonly lease: string;
  readonly role: string;
  abstract readonly kind: string;
  readonly expiresAt: Date;
  readonly expiryEnforcedBy: string;
  readonly revocation: string;
  readonly #data: Data;
  constructor(facts: CredentialFacts, data: Data) {
    super();
    this.lease = facts.lease;
    this.role = facts.role;
    this.expiresAt = facts.expiresAt;
    this.expiryEnforcedBy = facts.expiryEnforcedBy;
    this.revocation = facts.revocation;
    this.#data = data;
  }
  /** All of it in the clear. */
  override expose(): Data {
    return this.#data;
  }
}

export interface PostgresLogin {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  /** `verify-full`, `unsafe_require_unverified` or `unsafe_disable`. */
  readonly tls: string;
  /** `postgresql://…`, with the password and libpq's `sslmode`. */
  readonly url: string;
}

/** A login role of a PostgreSQL server. */
export class PostgresPassword extends IssuedCredential<PostgresLogin> {
  readonly kind = "postgres-password";
  get host(): string {
    return this.expose().host;
  }
  get port(): number {
    return this.expose().port;
  }
  get database(): string {
    return this.expose().database;
  }
  get username(): string {
    return this.expose().username;
  }
  get tls(): string {
    return this.expose().tls;
  }
  get password(): Secret {
    return new Secret(this.expose().password);
  }
  get url(): Secret {
    return new Secret(this.expose().url);
  }
}

/**
 * An access token for an API of your own (RFC 9068), which `task.apiHeaders` presents. `expose`
 * gives its members under the broker's names.
 */
export class AccessToken extends IssuedCredential<Fields> {
  readonly kind = "jwt-access-token";
  readonly token: Secret;
  /** `DPoP` where it is bound to the task's key, so that each request needs a proof. */
  readonly tokenType: "Bearer" | "DPoP";
  readonly audience: readonly string[];
  readonly scope: readonly string[];
  readonly issuer: string;
  constructor(facts: CredentialFacts, data: Fields) {
    super(facts, data);
    this.token = new Secret(textOf(data, "access_token"));
    this.tokenType = textOf(data, "token_type").toLowerCase() === "dpop" ? "DPoP" : "Bearer";
    this.audience = textsIn(data, "audience");
    // RFC 6749 section 3.3: none where it is empty.
    this.scope = (textIn(data, "scope") ?? "").split(" ").filter((each) => each !== "");
    this.issuer = textOf(data, "issuer");
  }
}

/** A credential of a kind that this version of the client has no type for. */
export class OtherCredential extends IssuedCredential<Fields> {
  readonly kind: string;
  constructor(facts: CredentialFacts, data: Fields) {
    super(facts, data);
    this.kind = facts.kind;
  }
}

/** The types of the kinds that are known, by name. */
export interface CredentialKinds {
  readonly "postgres-password": PostgresPassword;
  readonly "jwt-access-token": AccessToken;
}
export type CredentialKind = keyof CredentialKinds;
export type Credential = CredentialKinds[CredentialKind] | OtherCredential;

/** One of `credentials` in a token reply. */
export function parseCredential(fields: Fields): Credential {
  const facts: CredentialFacts = {
    lease: textOf(fields, "lease"),
    role: textOf(fields, "role"),
    kind: textOf(fields, "kind"),
    expiresAt: instantOf(fields, "expires_at"),
    expiryEnforcedBy: textOf(fields, "expiry_enforced_by"),
    revocation: textOf(fields, "revocation"),
  };
  const data = needed(fieldsOf(fields["data"]), "data");
  switch (facts.kind) {
    case "postgres-password":
      return new PostgresPassword(facts, postgresLogin(data));
    case "jwt-access-token":
      return new AccessToken(facts, data);
    default:
      return new OtherCredential(facts, data);
  }
}

/** The same credential after a renewal. */
export function renewed(credential: Credential, expiresAt: Date): Credential {
  const { lease, role, kind, expiryEnforcedBy, revocation } = credential;
  const facts = { lease, role, kind, expiresAt, expiryEnforcedBy, revocation };
  if (credential instanceof PostgresPassword) {
    return new PostgresPassword(facts, credential.expose());
  }
  return credential instanceof AccessToken
    ? new AccessToken(facts, credential.expose())
    : new OtherCredential(facts, credential.expose());
}

const postgresLogin = (data: Fields): PostgresLogin => ({
  host: textOf(data, "host"),
  port: needed(numberIn(data, "port"), "port"),
  database: textOf(data, "database"),
  username: textOf(data, "username"),
  password: textOf(data, "password"),
  tls: textIn(data, "tls") ?? "verify-full",
  url: textOf(data, "url"),
});

/** The newest of a role, which must be of the kind. Without a kind, PostgreSQL's is meant. */
export function pick<K extends CredentialKind>(
  all: readonly Credential[],
  role: string,
  kind: K,
): CredentialKinds[K] {
  const ofRole = all.filter((one) => one.role === role);
  const found = ofRole.at(-1);
  if (found === undefined) throw noSuch(role, all);
  if (isOfKind(found, kind)) return found;
  throw new MayflyError({
    code: "no_credential",
    what: `The credential of ${role} is of kind ${found.kind}, not ${kind}.`,
    hint: "Take it from `task.credentials`, where every kind is.",
  });
}

const isOfKind = <K extends CredentialKind>(
  credential: Credential,
  kind: K,
): credential is CredentialKinds[K] => credential.kind === kind;

function noSuch(role: string, all: readonly Credential[]): MayflyError {
  const has = [...new Set(all.map((one) => one.role))].join(", ");
  return new MayflyError({
    code: "no_credential",
    what: `The task holds no credential of ${role}${has === "" ? "" : `, but of ${has}`}.`,
    hint: "Name the role in `credentials`; what is declared for later, `task.draw` draws.",
  });
}
