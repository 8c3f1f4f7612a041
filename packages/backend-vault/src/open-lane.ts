import type { BackendHost } from "@mayfly/spec";
import { BrokerSession, type ReadTokenFile } from "./broker-session.ts";
import { countTokens } from "./count-tokens.ts";
import type { Lane } from "./lane.ts";
import { MintTurns } from "./mint-turns.ts";
import type { ServerSettings } from "./server-settings.ts";
import { VaultApi } from "./vault-api.ts";

/** Connections for mints, so that ending never waits behind issuing, and for all else. */
const MINT_SLOTS = 4;
const WORK_SLOTS = 8;

export function openLane(
  settings: ServerSettings,
  host: BackendHost,
  closing: AbortSignal,
  readFile: ReadTokenFile,
): Lane {
  const [mints, work] = [MINT_SLOTS, WORK_SLOTS].map(
    (slots) => new VaultApi(settings, host, slots),
  );
  if (mints === undefined || work === undefined) throw new TypeError("two lanes");
  const session = new BrokerSession(work, settings.login, host, closing, readFile);
  const lane = { settings, host, mints, turns: new MintTurns(MINT_SLOTS), work, session };
  return { ...lane, tokens: countTokens(lane, { atOnce: WORK_SLOTS, closing }) };
}

export async function closeLane({ mints, work }: Lane): Promise<void> {
  await Promise.all([mints.close(), work.close()]);
}
