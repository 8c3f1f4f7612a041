import { afterAll, beforeAll, expect, test } from "vitest";
import { sharedServer, testPrograms } from "../harness/index.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { startMeasured, type MeasuredInstallation } from "./measured-installation.ts";
import { availableUpstreams } from "./upstreams.ts";

/** Those whose servers start at once; `npm run crowd` has all of them, a thousand leases each. */
const QUICK: readonly string[] = ["mysql", "redis", "ssh", "webhook"];
const LEASES = 30;
const upstreams = (await availableUpstreams()).filter(({ type }) => QUICK.includes(type));

let installation: MeasuredInstallation;
beforeAll(async () => {
  installation = await startMeasured({ server: sharedServer(), programs: testPrograms() });
});
afterAll(() => installation[Symbol.asyncDispose]());

test.each(upstreams.map((upstream) => [upstream.type, upstream] as const))(
  `${LEASES} leases of %s that are due at once, with their sessions open, are all revoked, and nothing is left`,
  async (_type, upstream) => {
    const say = (): void => undefined;
    const { times, broken } = await measureCrowd(installation, {
      leases: LEASES,
      upstream,
      neighbours: 20,
      isTimed: false,
      say,
    });
    expect(broken).toEqual([]);
    expect(times.leases).toBe(LEASES);
    // Requests with a token are judged anew each: there is nothing that stays open.
    expect(times.sessions).toBe(upstream.type === "webhook" ? 0 : LEASES);
  },
);
