import { availableUpstreams, UPSTREAMS } from "./upstreams.ts";
import type { Upstream } from "./upstreams/upstream.ts";

/**
 * Those of a command line's list of types, such as `redis,ssh`; without one, all that this machine
 * has the servers of. Throws for a type that is not known, or whose server is not there.
 */
export async function chosenUpstreams(list: string | undefined): Promise<readonly Upstream[]> {
  const available = await availableUpstreams();
  if (list === undefined) return available;
  return list.split(",").map((name) => {
    const found = available.find(({ type }) => type === name);
    if (found !== undefined) return found;
    const known = UPSTREAMS.find(({ type }) => type === name);
    throw new Error(
      known === undefined
        ? `--type: there is no ${name}; there are ${UPSTREAMS.map(({ type }) => type).join(", ")}`
        : `--type: ${name} needs ${known.server}, which is not installed`,
    );
  });
}
