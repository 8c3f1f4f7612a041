import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from "node:crypto";
import type { Body, HttpAnswer, HttpClient } from "./http-client.ts";
import type { LoadJob } from "./load-job.ts";

/** What one exchange is, for each of those that are compared. */
export interface Flow {
  /** Whether a body costs something, a signature above all: then all are made before the round. */
  readonly isMadeAhead: boolean;
  /** A request's body. */
  prepare(index: number): string;
  send(client: HttpClient, prepared: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** 429 or 503 with Retry-After. */
  readonly isRefusal: boolean;
  credential(): { readonly username: string; readonly password: string } | null;
  /** The access token of the reply. */
  token(): string | null;
}

export function flowOf(job: LoadJob): Flow {
  switch (job.flow) {
    case "mayfly":
      return mayflyFlow(job);
    case "dpop":
      return dpopFlow(job);
    case "x509":
      return x509Flow(job);
    case "stranger":
      return strangerFlow(job);
    case "openbao":
      return openBaoFlow(job);
    case "oidc-provider":
      return OIDC_PROVIDER_FLOW;
  }
}

const TYPE = "urn:ietf:params:oauth:token-type:";
const GOALS = ["Reconcile invoices", "Count orders", "Answer a customer", "Check VAT numbers"];

function signer(job: LoadJob): (index: number) => string {
  const key = createPrivateKey(job.privateKeyPem);
  const header = encode({ alg: "ES256", kid: job.kid, typ: "JWT" });
  return (index) => signed(key, header, claimsOf(job, index));
}

/** Each subject and each token is one of its own. */
function claimsOf(job: LoadJob, index: number): object {
  const now = Math.floor(Date.now() / 1000);
  return {
    sub: `spiffe://${job.trustDomain}/agent/${job.round}-${index}`,
    aud: [job.issuer],
    iat: now,
    exp: now + 300,
    jti: randomBytes(12).toString("base64url"),
  };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
function signed(key: KeyObject, header: string, claims: object): string {
  const input = `${header}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** Who asks, besides what for. */
const byToken = (token: string): Readonly<Record<string, string>> => ({
  grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
  subject_token: token,
  subject_token_type: `${TYPE}jwt`,
});

/** The body of one exchange; goal, reference and deadline differ from one to the next. */
function bodyOf(role: string | null, who: Readonly<Record<string, string>>, index: number): string {
  const details = {
    type: "mayfly-task",
    goal: `${GOALS[index % GOALS.length]} ${index}`,
    ref: `BENCH-${index}`,
    deadline: 3600 + (index % 600),
    idle_timeout: 3600,
    credentials: role === null ? [] : [{ role }],
  };
  return new URLSearchParams({
    ...who,
    authorization_details: JSON.stringify([details]),
  }).toString();
}

interface TokenReply {
  readonly access_token: string;
  readonly credentials?: readonly {
    readonly data: { readonly username: string; readonly password: string };
  }[];
}

const FORM = "content-type: application/x-www-form-urlencoded\r\n";

/** The body of one exchange of Mayfly's, with a token of its own. */
export function exchangeBodies(job: LoadJob): (index: number) => string {
  const token = signer(job);
  return (index) => bodyOf(job.role, byToken(token(index)), index);
}

const mayflyFlow = (job: LoadJob): Flow => ({
  isMadeAhead: true,
  prepare: exchangeBodies(job),
  send: (client, body) => tokenRequest(client, FORM, body),
});

/** Each with a proof (RFC 9449) of a key that is used for nothing else. */
function dpopFlow(job: LoadJob): Flow {
  const body = exchangeBodies(job);
  return {
    isMadeAhead: true,
    prepare: (index) => {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const { kty, crv, x, y } = publicKey.export({ format: "jwk" });
      const header = encode({ typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } });
      const proof = signed(privateKey, header, {
        jti: randomBytes(12).toString("base64url"),
        htm: "POST",
        htu: `${job.issuer}/token`,
        iat: Math.floor(Date.now() / 1000),
      });
      return JSON.stringify([proof, body(index)]);
    },
    send: (client, prepared) => {
      const [proof, form] = JSON.parse(prepared) as [string, string];
      return tokenRequest(client, `${FORM}dpop: ${proof}\r\n`, form);
    },
  };
}

/** The certificate of the connection says who asks; `client_id` names the same. */
const x509Flow = (job: LoadJob): Flow => ({
  isMadeAhead: true,
  prepare: (index) => bodyOf(job.role, { grant_type: "client_credentials" }, index),
  send: (client, body) =>
    tokenRequest(client, FORM, (clientId) => `${body}&client_id=${encodeURIComponent(clientId)}`),
});

/** So many are as good as one each: none is ever believed. */
const FORGED = 500;

/** Well-formed in all but its signature, which therefore has to be looked at. */
function strangerFlow(job: LoadJob): Flow {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const body = exchangeBodies({ ...job, privateKeyPem });
  const forged = Array.from({ length: FORGED }, (_, index) => body(index));
  return {
    isMadeAhead: false,
    prepare: (index) => forged[index % FORGED] ?? "",
    send: (client, form) => tokenRequest(client, FORM, form),
  };
}

/**
 * As its users have it: a client's secret instead of a token that must be verified, which costs
 * less.
 */
const CLIENT = `authorization: Basic ${btoa("bench:bench-secret")}\r\n`;
const OIDC_PROVIDER_FLOW: Flow = {
  isMadeAhead: false,
  prepare: () => "grant_type=client_credentials",
  send: (client, body) => tokenRequest(client, `${FORM}${CLIENT}`, body),
};

async function tokenRequest(client: HttpClient, headers: string, form: Body): Promise<Answer> {
  const answer = await client.request("POST", "/token", headers, form);
  const { status, text } = answer;
  const busy = status === 503 || status === 429;
  return {
    status,
    text,
    isRefusal: busy && answer.header("retry-after") !== null,
    credential: () => {
      const [credential] = (JSON.parse(text) as TokenReply).credentials ?? [];
      if (credential === undefined) return null;
      const { username, password } = credential.data;
      return { username, password };
    },
    token: () => (JSON.parse(text) as TokenReply).access_token,
  };
}

interface LoginReply {
  readonly auth: { readonly client_token: string };
}
interface CredentialReply {
  readonly data: { readonly username: string; readonly password: string };
}

function openBaoFlow(job: LoadJob): Flow {
  const token = signer(job);
  return {
    isMadeAhead: true,
    prepare: (index) => JSON.stringify({ jwt: token(index), role: "app" }),
    send: async (client, body) => {
      const login = await client.request("POST", "/v1/auth/jwt/login", JSON_BODY, body);
      if (login.status !== 200) return withoutToken(login);
      const { auth } = JSON.parse(login.text) as LoginReply;
      const headers = `x-vault-token: ${auth.client_token}\r\n`;
      return withoutToken(await client.request("GET", "/v1/database/creds/app", headers, ""));
    },
  };
}

const JSON_BODY = "content-type: application/json\r\n";

const withoutToken = ({ status, text }: HttpAnswer): Answer => ({
  status,
  text,
  isRefusal: false,
  credential: () => {
    const { username, password } = (JSON.parse(text) as CredentialReply).data;
    return { username, password };
  },
  token: () => null,
});
