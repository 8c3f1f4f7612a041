import { BrokerError } from "@mayfly/spec";
import { parseSpiffeId } from "../../packages/spec/src/spiffe-id.ts";
import { parseForm } from "../../services/broker/src/http/form.ts";
import { TOKEN_BODY_BYTES_MAX } from "../../services/broker/src/http/routes/token.ts";
import { certificateParsers } from "./certificate-parsers.ts";
import { checkSame } from "./check-same.ts";
import { damagedText } from "./damaged-text.ts";
import { descriptorParsers } from "./descriptor-parsers.ts";
import { dpopProofParser } from "./dpop-proof-parser.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated } from "./grown-text.ts";
import { headerParsers } from "./header-parsers.ts";
import { keySetParsers } from "./key-set-parsers.ts";
import { tokenParsers } from "./token-parsers.ts";

const TYPE = "application/x-www-form-urlencoded";
const FORMS = [
  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a.b.c" +
    "&subject_token_type=urn:ietf:params:oauth:token-type:jwt&authorization_details=%5B%7B%7D%5D",
  "resource=https://a.test&resource=https://b.test&audience=x&audience=y&scope=",
  "a=1&b=&=c&d&a%20b=%F0%9F%A6%9F",
];
const form = throwingParser({
  name: "form",
  sound: FORMS,
  limit: TOKEN_BODY_BYTES_MAX,
  shapes: [
    repeated("", "resource=https://a.test&", "audience=x"),
    repeated("", (n) => `k${n}=v${n}&`, "a="),
    repeated("", (n) => `k%${(16 + (n % 200)).toString(16)}${n}=&`, "a="),
    repeated("a=", "%F0%9F%A6%9F", ""),
    repeated("a=", "+", ""),
    repeated("", "%61", "=1"),
    repeated("a=", "%", ""),
    repeated("a=1&", "a", "=1&a=2"),
  ],
  // A body is decoded from UTF-8, which has no unpaired surrogates.
  inputs: damagedText(FORMS),
  parse: (body) => parseForm(TYPE, body.toWellFormed()),
  isOwn: (error) => BrokerError.is(error),
  again: (accepted, given) => {
    const body = given.toWellFormed();
    // A question mark at its beginning would be dropped, as of an address.
    const pairs = [...new URLSearchParams(`&${body}`)];
    const anew = parseForm(TYPE, new URLSearchParams(pairs).toString());
    for (const [name, values] of byName(pairs)) {
      checkSame(accepted.all(name), values);
      checkSame(anew.all(name), values);
    }
  },
});

function byName(pairs: readonly (readonly [string, string])[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const values = found.get(name) ?? [];
    if (value !== "") values.push(value);
    found.set(name, values);
  }
  return found;
}

const SPIFFE_ID_BYTES_MAX = 2048;
const spiffeId: FuzzedParser = {
  name: "spiffe_id",
  sound: ["spiffe://acme.test", "spiffe://acme.test/pay/biller", "spiffe://a-b_c.d/Ns/0.1/..a/a.."],
  limit: SPIFFE_ID_BYTES_MAX,
  shapes: [
    repeated("spiffe://acme.test", "/a", ""),
    repeated("spiffe://", "a", "/b"),
    repeated("spiffe://acme.test/", "a", ""),
    repeated("spiffe://acme.test", "/..", "/a"),
    repeated("spiffe://acme.test", "/a.", "/"),
    // As long as a header may be that has one in it.
    (size) => repeated("spiffe://acme.test", "/a", "%")(8 * size),
  ],
  inputs: damagedText([
    "spiffe://acme.test",
    "spiffe://acme.test/pay/biller",
    "spiffe://a-b_c.d/Ns/0.1/..a/a..",
    `spiffe://${"a".repeat(255)}/${"b/".repeat(890)}b`,
  ]),
  parse: (text) => {
    const id = parseSpiffeId(text);
    if (id === null) return null;
    return () => {
      checkSame(`spiffe://${id.trustDomain}${id.path}`, text);
      checkSame(id.id, text);
      checkSame(parseSpiffeId(id.id), id);
    };
  },
};

/** Every parser that meets what strangers send, before anybody is authenticated. */
export const PARSERS: readonly FuzzedParser[] = [
  form,
  ...tokenParsers(),
  spiffeId,
  ...certificateParsers(),
  ...keySetParsers(),
  dpopProofParser(),
  ...descriptorParsers(),
  ...headerParsers(),
];
