import { z } from "zod";
import {
  listAnswer,
  rawAnswer,
  readAnswer,
  trustAnswer,
  type TrustAnswer,
} from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import { bad, good, looked, skipped, type Finding } from "./finding.ts";

const lookAnswer = z.object({
  source: z.string(),
  fetched: z.boolean(),
  keys: z.array(z.unknown()),
  problem: z.string().nullable(),
});

/** Each trust root's keys, as the broker gets them now, and roots that claim the same tokens. */
export async function trustFindings(api: BrokerApi): Promise<readonly Finding[]> {
  const { items } = rawAnswer(listAnswer, await api.get("/v1/trust"));
  const roots = items.map((item) => readAnswer(trustAnswer, item));
  if (roots.every(({ enabled }) => !enabled)) {
    const todo = "mayfly trust put FILE";
    return [bad("trust", "no trust root is enabled: no identity is accepted", todo)];
  }
  const findings = [...duplicates(roots)];
  for (const root of roots) {
    const check = `trust ${root.name}`;
    if (!root.enabled) findings.push(skipped(check, "is disabled"));
    else findings.push(...(await looked(check, () => rootFinding(api, root.name, check))));
  }
  return findings;
}

async function rootFinding(
  api: BrokerApi,
  name: string,
  check: string,
): Promise<readonly Finding[]> {
  const answer = await api.send("POST", `/v1/trust/${encodeURIComponent(name)}/test`);
  const { source, fetched, keys, problem } = readAnswer(lookAnswer, answer);
  if (problem === null) {
    const from = fetched ? `from ${source}` : "from its configuration";
    return [good(check, `${keys.length} ${keys.length === 1 ? "key" : "keys"} ${from}`)];
  }
  const todo = `Make ${source} reachable from the broker, or correct the trust root.`;
  const why = "Its identities are refused as soon as the keys that are held have run out.";
  return [bad(check, `${source}: ${problem}`, todo, { why })];
}

function* duplicates(roots: readonly TrustAnswer[]): Generator<Finding> {
  const first = new Map<string, string>();
  for (const { name, kind, enabled, config } of roots) {
    if (!enabled) continue;
    const claimed = config["trust_domain"] ?? config["issuer"];
    if (typeof claimed !== "string") continue;
    const claim = `${kind} ${claimed}`;
    const other = first.get(claim);
    first.set(claim, other ?? name);
    if (other === undefined) continue;
    const text = `${other} and ${name} both claim ${claimed}`;
    const why = "No token of it is accepted while two vouch for it.";
    yield bad("trust", text, `mayfly trust delete ${name}, or the other`, { why });
  }
}
