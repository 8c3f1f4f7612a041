import { z } from "zod";
import { readKeyRing } from "@mayfly/seal";
import { BrokerError } from "@mayfly/spec";
import { readAnswer } from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import { CliError } from "../cli-error.ts";
import type { Session } from "../session.ts";
import { bad, good, skipped, type Finding } from "./finding.ts";

const sealingAnswer = z.object({
  keys: z.array(z.string()),
  counts: z.array(z.object({ kind: z.string(), key: z.string().nullable(), values: z.number() })),
});

/** What is sealed, against the ring of the broker: what no key opens can be revoked by nobody. */
export async function sealedFindings(api: BrokerApi): Promise<readonly Finding[]> {
  const answer = await api.get("/v1/sealing").catch((error: unknown) => {
    const code = error instanceof CliError ? error.parts.code : null;
    if (code === "not_found") return "the broker is older and does not tell";
    if (code === "denied") return "only the bootstrap administrator may look at them";
    throw error;
  });
  if (typeof answer === "string") return [skipped("sealing keys", answer)];
  const { keys, counts } = readAnswer(sealingAnswer, answer);
  const current = keys[0];
  const lost = counts.filter(
    ({ key, values }) => key !== null && values > 0 && !keys.includes(key),
  );
  if (lost.length > 0) {
    return lost.map(({ kind, key, values }) =>
      bad(
        "sealing keys",
        `${values} of ${kind} sealed under ${key ?? ""}, which the broker's ring does not have`,
        "Put that key back, after the first; restart every process; then: mayfly sealing reseal",
        { why: "They cannot be opened: leases among them cannot be revoked and stay stuck." },
      ),
    );
  }
  const old = counts
    .filter(({ key }) => key !== null && key !== current)
    .reduce((sum, { values }) => sum + values, 0);
  const rest = old === 0 ? "" : `; ${old} still under older keys (mayfly sealing reseal)`;
  return [good("sealing keys", `the broker seals with ${current ?? "no key"}${rest}`)];
}

/** The ring that a process on this machine would use, with MAYFLY_SEALING_KEY_FILE. */
export async function keyFileFindings(
  session: Session,
  api: BrokerApi | null,
): Promise<readonly Finding[]> {
  const { sealingKeyFile: file } = session.settings();
  const check = "sealing key file";
  if (file === null) {
    const todo =
      "Set MAYFLY_SEALING_KEY_FILE on a broker's or worker's machine to look at its file.";
    return [skipped(check, "MAYFLY_SEALING_KEY_FILE is not set", todo)];
  }
  try {
    const ring = await readKeyRing({ file });
    const own = ring.sealing.map(({ id }) => id);
    const told = api === null ? null : await api.get("/v1/sealing").catch(() => null);
    const known = sealingAnswer.safeParse(told);
    const missing = known.success ? known.data.keys.filter((key) => !own.includes(key)) : [];
    if (missing.length > 0) {
      const text = `${file} lacks ${missing.join(", ")}, which the broker has`;
      const why = "A process with this file cannot open what the broker sealed.";
      return [bad(check, text, "Give every process the same ring.", { why })];
    }
    return [good(check, `${file}: ${own.length} sealing, ${ring.root.length} root; mode 0600`)];
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    const why = "Broker and worker refuse to start with it.";
    return [bad(check, error.message, "Mend what the message names.", { why })];
  }
}
