import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { checkSchema } from "@mayfly/postgres";
import type { Draw } from "../simulation/draw.ts";
import {
  asSuperuser,
  startProcess,
  type Environment,
  type ServerAddress,
} from "../harness/index.ts";
import { drawBlow } from "./blows.ts";
import { strike } from "./places.ts";
import type { Stage } from "./stage.ts";

/** Of all kills. */
const SHARE = 0.08;
/** Runs of one database that may die; the next one is left alone. */
const DOOMED_MAX = 4;
/** Of one database, with runs that found their server away. */
const RUNS_MAX = 40;

/**
 * New ledgers, one after the other: `mayfly migrate` is killed in between, started again, and in
 * the end everything has to be there.
 */
export async function keepMigrating(
  stage: Stage,
  server: ServerAddress,
  port: number,
  draw: Draw,
): Promise<void> {
  const { score } = stage;
  while (!stage.isOver) {
    if (score.killsOf("migrator") > SHARE * score.kills) {
      await sleep(300);
      continue;
    }
    const name = `chaos_${randomBytes(6).toString("hex")}`;
    const direct = server.url(name);
    try {
      await asSuperuser(server, "postgres", (sql) => sql.unsafe(`CREATE DATABASE ${name}`));
    } catch {
      // The server is away just now.
      await sleep(300);
      continue;
    }
    const reached = new URL(direct);
    reached.port = String(port);
    if (await migrateThroughKills(stage, reached.href, draw)) await check(stage, direct);
    // A server that is killed reads and flushes every file when it comes back. One that is away
    // just now keeps this database until it is removed itself.
    await asSuperuser(server, "postgres", (sql) =>
      sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`),
    ).catch(() => undefined);
  }
}

/** False: it was not at its end when all was over. */
async function migrateThroughKills(stage: Stage, url: string, draw: Draw): Promise<boolean> {
  for (let run = 0; run < RUNS_MAX && !stage.isOver; run++) {
    const blow =
      run < DOOMED_MAX
        ? drawBlow("migrator", (point) => stage.score.killsAt("migrator", point), draw)
        : null;
    const trap: Environment = blow === null ? {} : { MAYFLY_UNSAFE_FAIL_POINT: blow.setting };
    const environment = { MAYFLY_DATABASE_URL: url, ...trap };
    const migrator = await startProcess("migrator", environment, stage.programs);
    if (blow !== null) await strike(stage, "migrator", migrator, blow, draw);
    const { code } = await migrator.exited;
    if (code === 0) return true;
    if (code !== null) await sleep(200);
  }
  return false;
}

async function check(stage: Stage, url: string): Promise<void> {
  for (let look = 0; look < RUNS_MAX; look++) {
    try {
      const { problems } = await checkSchema({ url, queueSchema: QUEUE_SCHEMA });
      for (const { what } of problems) {
        const words = `a migration that was killed did not come to its end: ${what}`;
        stage.findings.set(words, { kind: "migration", words });
      }
      return;
    } catch {
      // The server is away just now.
      await sleep(500);
    }
  }
}
