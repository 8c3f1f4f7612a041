import { z } from "zod";
import { parseShallowJson } from "@mayfly/spec";
import { readAnswer } from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import { CliError } from "../cli-error.ts";
import { durationText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { bad, good, skipped, type Finding } from "./finding.ts";

export const diagnosisAnswer = z.object({
  issuer: z.string(),
  now: z.string(),
  sweep_interval_seconds: z.number(),
  listing_interval_seconds: z.number(),
  unsafe_settings: z.array(z.string()),
});
export type Diagnosis = z.output<typeof diagnosisAnswer>;

/** Beyond it, a token of a short life may be refused for its time. */
const SKEW_WARNED_MS = 5_000;
/** Beyond it, they are refused: the most that the broker allows. */
const SKEW_MAX_MS = 60_000;
const METADATA_MS_MAX = 5_000;

/** The broker's own settings; null where it is older than the command and does not tell. */
export async function readDiagnosis(
  session: Session,
  api: BrokerApi,
): Promise<{ readonly diagnosis: Diagnosis | null; readonly findings: readonly Finding[] }> {
  const { clock } = session.io;
  const before = clock.now();
  const answer = await api.get("/v1/diagnosis").catch((error: unknown) => {
    if (error instanceof CliError && error.parts.code === "not_found") return null;
    throw error;
  });
  const after = clock.now();
  if (answer === null) {
    return {
      diagnosis: null,
      findings: [skipped("clock", "the broker is older and does not tell")],
    };
  }
  const diagnosis = readAnswer(diagnosisAnswer, answer);
  const skewMs = Date.parse(diagnosis.now) - (before + after) / 2;
  const findings = [
    clockFinding(skewMs),
    await publicUrlFinding(session, api, diagnosis.issuer),
    unsafeFinding(diagnosis),
  ];
  return { diagnosis, findings };
}

function clockFinding(skewMs: number): Finding {
  const apart = durationText(Math.abs(skewMs));
  const side = skewMs < 0 ? "behind" : "ahead of";
  const text = `the broker's clock is ${apart} ${side} this machine's`;
  const todo = "Synchronise the clocks of both machines (NTP).";
  if (Math.abs(skewMs) > SKEW_MAX_MS) {
    const why = "Tokens are refused for their time when clocks are more than 60 s apart.";
    return bad("clock", text, todo, { why });
  }
  if (Math.abs(skewMs) > SKEW_WARNED_MS) return bad("clock", text, todo, { severity: "warning" });
  return good("clock", `the broker's is within ${durationText(SKEW_WARNED_MS)} of this machine's`);
}

const metadataShape = z.looseObject({ issuer: z.string() });

/** What agents are told to use must lead to this broker, and name itself the same. */
async function publicUrlFinding(
  session: Session,
  api: BrokerApi,
  issuer: string,
): Promise<Finding> {
  const check = "public URL";
  const url = new URL(issuer);
  const path = url.pathname === "/" ? "" : url.pathname;
  const metadata = `${url.origin}/.well-known/oauth-authorization-server${path}`;
  const why = "Agents verify the broker by this URL, and their tokens have it as audience.";
  const todo = "Correct MAYFLY_ISSUER of every broker and worker, or what stands in front of them.";
  try {
    const response = await session.io.fetch(metadata, {
      redirect: "error",
      signal: AbortSignal.timeout(METADATA_MS_MAX),
    });
    const answer = parseShallowJson((await response.text()).slice(0, 65_536));
    const told = metadataShape.safeParse(answer);
    if (!told.success) {
      return bad(check, `${issuer} answers, and not as a broker`, todo, { why });
    }
    if (told.data.issuer !== issuer) {
      const text = `${issuer} is answered by a broker that calls itself ${told.data.issuer}`;
      return bad(check, text, todo, { why });
    }
    return good(check, `${issuer} leads to a broker of that name`);
  } catch {
    const text = `${issuer} does not answer from here; ${api.url} does`;
    return bad(check, text, todo, { why, severity: "warning" });
  }
}

function unsafeFinding({ unsafe_settings: names, issuer }: Diagnosis): Finding {
  const check = "unsafe settings";
  if (names.length === 0) return good(check, "none is in force at the broker");
  const text = `${names.join(", ")} in force at the broker`;
  const { hostname } = new URL(issuer);
  // What only this machine can reach is for development, where they belong.
  if (hostname === "127.0.0.1" || hostname === "localhost" || hostname === "[::1]") {
    return good(check, `${text}, whose URL is of this machine alone: for development`);
  }
  const why = "Each weakens a guarantee; docs/config.md says which.";
  return bad(check, text, "Take them out of its environment.", { why, severity: "warning" });
}
