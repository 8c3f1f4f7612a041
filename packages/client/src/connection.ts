import { createBrokerHttp, type BrokerHttp } from "./broker-http.ts";
import { createDpopKey, DPOP_ALGORITHM, type DpopKey } from "./dpop-key.ts";
import { invalidOption, MayflyError } from "./mayfly-error.ts";
import { textOf, type Fields } from "./read-answer.ts";
import type { Surroundings } from "./surroundings.ts";

export interface ConnectionOptions {
  /** The broker. Default: MAYFLY_URL. */
  readonly url?: string;
  /**
   * The broker's issuer, where it is reached under another name than its own: identity tokens are
   * made for it. Default: MAYFLY_ISSUER, or else `url`.
   */
  readonly issuer?: string;
  /** Lets tokens and credentials travel over plain http to another machine. */
  readonly unsafePlainHttp?: boolean;
  /**
   * Whether the task token is bound to a key of this task's own, which is kept in memory alone
   * (DPoP, RFC 9449): who copies the token cannot use it. Default: if the broker offers it.
   */
  readonly dpop?: boolean;
}

export interface Connection {
  readonly http: BrokerHttp;
  /** The audience of every identity token; the broker itself said so, and it is as expected. */
  readonly issuer: string;
  /** What its tokens are bound to; null where they are a bearer's. */
  readonly key: DpopKey | null;
}

const WELL_KNOWN = "/.well-known/oauth-authorization-server";
const DISCOVERY_TIMEOUT_MS = 10_000;
const DISCOVERY_WITHIN_MS = 30_000;

/** Finds the broker and asks it who it is (RFC 8414). Throws {@link MayflyError}. */
export async function connect(
  options: ConnectionOptions,
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<Connection> {
  const url = brokerUrl(options, around);
  const expected = expectedIssuer(options, url, around);
  const issuerPath = new URL(expected).pathname.replace(/\/$/, "");
  const root = createBrokerHttp(new URL(url.origin), around);
  const metadata = await root.send({
    method: "GET",
    // RFC 8414 section 3.1: the well-known part stands before the issuer's path.
    path: `${WELL_KNOWN}${issuerPath}`,
    repeatable: true,
    timeoutMs: DISCOVERY_TIMEOUT_MS,
    withinMs: DISCOVERY_WITHIN_MS,
    signal,
  });
  const issuer = textOf(metadata, "issuer");
  // Section 3.3. Else who answers here could have us make a token for another broker, and use it.
  if (issuer === expected) {
    const key = await keyFor(options, issuer, metadata, around);
    return { http: createBrokerHttp(url, around, { key, aheadMs: root.aheadMs() }), issuer, key };
  }
  throw new MayflyError({
    code: "not_a_broker",
    what: `The broker at ${url.href} says that it is ${issuer}, which was not expected.`,
    where: "MAYFLY_URL",
    hint: `Use ${issuer} as the URL; if it is reached under another name, give the issuer too.`,
  });
}

/** Null where tokens are to be a bearer's. */
async function keyFor(
  { dpop }: ConnectionOptions,
  issuer: string,
  metadata: Fields,
  around: Surroundings,
): Promise<DpopKey | null> {
  const offered = metadata["dpop_signing_alg_values_supported"];
  const isOffered = Array.isArray(offered) && offered.includes(DPOP_ALGORITHM);
  if (dpop === false || (dpop === undefined && !isOffered)) return null;
  if (isOffered) return createDpopKey(issuer, around);
  throw new MayflyError({
    code: "not_a_broker",
    what: `The broker at ${issuer} does not offer DPoP with ${DPOP_ALGORITHM}.`,
    where: "dpop",
    hint: "Leave out `dpop`, or use a broker of a newer version.",
  });
}

/** Also a password without a user: what says the URL back would say that too. */
const hasUser = ({ username, password }: URL): boolean => username !== "" || password !== "";

function brokerUrl(options: ConnectionOptions, around: Surroundings): URL {
  const where = options.url === undefined ? "MAYFLY_URL" : "url";
  const text = options.url ?? around.variable("MAYFLY_URL") ?? "";
  if (text === "") {
    throw invalidOption(
      "The broker's URL is not given: set MAYFLY_URL or the option `url`.",
      where,
    );
  }
  const url = parsedUrl(text);
  if (url === null || hasUser(url) || url.search !== "" || url.hash !== "") {
    throw invalidOption(
      "Not the URL of a broker: expected https://host, no user, no query.",
      where,
    );
  }
  if (
    url.protocol === "http:" &&
    !isThisMachine(url.hostname) &&
    options.unsafePlainHttp !== true
  ) {
    throw invalidOption(
      `Tokens and credentials do not travel over plain http to ${url.host}. ` +
        "Use https, or unsafePlainHttp where the network itself is trusted.",
      where,
    );
  }
  return url;
}

function expectedIssuer(options: ConnectionOptions, url: URL, around: Surroundings): string {
  const variable = around.variable("MAYFLY_ISSUER") ?? "";
  const issuer = options.issuer ?? (variable === "" ? url.href : variable);
  if (parsedUrl(issuer) === null) {
    const where = options.issuer === undefined ? "MAYFLY_ISSUER" : "issuer";
    throw invalidOption("Not the URL of an issuer.", where);
  }
  return issuer.replace(/\/$/, "");
}

function parsedUrl(text: string): URL | null {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

const isThisMachine = (host: string): boolean =>
  host === "localhost" ||
  host.endsWith(".localhost") ||
  host === "[::1]" ||
  /^127(?:\.\d{1,3}){3}$/.test(host);
