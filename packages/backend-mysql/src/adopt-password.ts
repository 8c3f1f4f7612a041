import type { CallContext } from "@mayfly/spec";
import { Endpoint } from "./endpoint.ts";
import { MysqlFailure } from "./mysql-failure.ts";
import { nativeHash } from "./native-hash.ts";
import { deadlineIn, type Servers } from "./servers.ts";

/** Gives the broker's own account the password of the configuration, and logs in by it alone. */
export async function adoptPassword(servers: Servers, context: CallContext): Promise<void> {
  const { work, host, settings } = servers;
  // Of our own making none has any; the statement takes no parameters.
  if (/['\\]/.test(settings.password)) {
    throw new MysqlFailure("not_sent", "the password to be given has a quote or a backslash");
  }
  const deadline = deadlineIn(context, settings.call_seconds_max * 1_000);
  const { previous_password: _, ...alone } = settings;
  await work.session(deadline, async (session) => {
    await session.run(
      (await servers.isMariaDb(session))
        ? `SET PASSWORD = '${nativeHash(settings.password)}'`
        : // MySQL hides it in its logs.
          `ALTER USER CURRENT_USER() IDENTIFIED BY '${settings.password}'`,
    );
  });
  const { clock } = host;
  const place = { host: settings.host, port: settings.port };
  const proof = new Endpoint({ settings: alone, clock, ...place, slots: 1 });
  try {
    await proof.run("SELECT 1", deadline);
  } finally {
    await proof.close();
  }
}
