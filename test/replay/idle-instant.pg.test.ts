import { expect, test } from "vitest";
import { instantMs, plusSeconds } from "@mayfly/spec";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { createReplayDatabase } from "./replay-database.ts";
import { recordHistory } from "./replay-histories.ts";
import { Replay } from "./replay-operations.ts";

test("a task is idle on PostgreSQL too from the millisecond at which its timeout has passed", async () => {
  const database = await createReplayDatabase(await freshDatabase({ prefix: "replay" }));
  try {
    const { installation, operations } = await recordHistory("idle", instantMs(Date.now()));
    const replay = new Replay(database);
    await replay.furnish(operations, await installation.ledger.catalog.version());
    const opened = operations.findIndex(({ method }) => method === "reserve");
    expect(await replay.play("idle", operations.slice(0, opened + 1))).toBeNull();

    const [task] = installation.ledger.inspect.tasks();
    if (task === undefined) throw new Error("the history opened no task");
    const { idleTimeoutSeconds, deadlineSeconds } = task.descriptor;
    expect(idleTimeoutSeconds).toBeLessThan(deadlineSeconds);
    const idleFrom = plusSeconds(operations[opened]?.at ?? task.openedAt, idleTimeoutSeconds);
    await database.setClock(instantMs(idleFrom - 1));
    expect(await database.ports.sweep.dueTasks(10)).toEqual([]);
    await database.setClock(idleFrom);
    expect(await database.ports.sweep.dueTasks(10)).toEqual([{ id: task.id, due: "idle" }]);
  } finally {
    await database.close();
  }
});
