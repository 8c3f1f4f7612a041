import { requireOrExplain, type TestServer } from "@mayfly/embedded";

/**
 * Whether a server's program is there, for `describe.skipIf(!(await isInstalled("redis")))`. Says
 * nothing itself: the global set-up has said it, once in a run.
 *
 * @throws EmbeddedError when it is not there and TEST_REQUIRE names it.
 */
export async function isInstalled(
  server: TestServer,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<boolean> {
  return (await requireOrExplain(server, { env, say: () => undefined })) !== undefined;
}
