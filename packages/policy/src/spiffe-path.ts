import type { TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { InvalidInput, parseSpiffeId, type Workload } from "@mayfly/spec";
import { REQUEST_LIMITS } from "./limits.ts";

/** Cedar's type of the trust domains and paths that a workload is in. */
export const SPIFFE_PATH = "SpiffePath";

/** Where a workload stands, by whole segments of its SPIFFE ID; nowhere without one. */
export interface SpiffePlace {
  /** Its trust domain and each path down to the id itself. */
  readonly parents: TypeAndId[];
  /** `segments=2`, `1=agent`, `2=invoice-bot`. */
  readonly lines: string[];
}

/** Throws {@link InvalidInput} for an id that is none, or of too many segments. */
export function spiffePlace({ kind, subject }: Pick<Workload, "kind" | "subject">): SpiffePlace {
  if (kind !== "spiffe") return { parents: [], lines: [] };
  const id = parseSpiffeId(subject);
  if (id === null) throw new InvalidInput("its workload's SPIFFE ID is none");
  const segments = id.path.split("/").slice(1);
  if (segments.length > REQUEST_LIMITS.segments) {
    throw new InvalidInput(
      `its workload's SPIFFE ID has more than ${REQUEST_LIMITS.segments} segments`,
    );
  }
  const paths = [`spiffe://${id.trustDomain}`];
  for (const segment of segments) paths.push(`${paths.at(-1)}/${segment}`);
  return {
    parents: paths.map((path) => ({ type: SPIFFE_PATH, id: path })),
    lines: [
      `segments=${segments.length}`,
      ...segments.map((segment, index) => `${index + 1}=${segment}`),
    ],
  };
}

/** Whether a line could ever be one of {@link SpiffePlace.lines}. */
export const isSpiffeLine = (line: string): boolean =>
  /^(?:segments=(?:0|[1-9]\d{0,2})|[1-9]\d{0,2}=[A-Za-z0-9._-]+)$/.test(line);
