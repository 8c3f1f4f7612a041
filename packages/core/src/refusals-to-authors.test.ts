import { describe, expect, test } from "vitest";
import { Secret, type BrokerError } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, refusalOf, INVOICE_BOT } from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

/*
 * What an agent's author reads when something is refused: what was wrong, where, and what to do,
 * and nothing of what else there is.
 */
const READER = "orders-db/reader";
const WRITER = "orders-db/writer";
/** Time passes in these tests, and no worker sweeps. */
const SELDOM = { settings: { sweepIntervalSeconds: 3600, listingIntervalSeconds: 3600 } };

async function setUp() {
  const world = createFakeWorld(SELDOM);
  const core = createCore(world.ports);
  await furnish(world, core, [
    { id: "readers", effect: "permit", workload: INVOICE_BOT, role: READER },
  ]);
  return { world, core, agent: createFakeAgent(world, core) };
}

const hintOf = (error: BrokerError): unknown => error.public["hint"];

describe("a denial that no policy determined", () => {
  test("says the same of a role that is not permitted and of one that does not exist", async () => {
    const { agent } = await setUp();
    const texts = await Promise.all(
      [WRITER, "orders-db/raeder"].map(async (role) => {
        const error = await refusalOf(agent.open({ credentials: [{ role }] }));
        expect(hintOf(error)).toContain("Check the role's name; a shorter ttl or deadline");
        expect(hintOf(error)).toContain("mayfly policy explain dec_");
        return [error.message, hintOf(error)].join(" ").replaceAll(role, "R");
      }),
    );
    const [first, second] = texts.map((text) => text.replaceAll(/dec_\w+/g, "D"));
    expect(first).toBe(second);
  });
});

describe("a token that proves nobody", () => {
  test("is named by its parameter, and by nothing more", async () => {
    const { agent } = await setUp();
    const presented = { kind: "jwt", token: Secret.of("of.no.body") } as const;
    const error = await refusalOf(agent.open({}, { presented }));
    expect(error).toMatchObject({ code: "invalid_identity", where: "subject_token" });
  });
});

describe("a task that is over", () => {
  test("says of its deadline how long it was, and to ask for a longer one", async () => {
    const { world, agent } = await setUp();
    const { task } = await agent.open({ deadline: 30 });
    await world.clock.advance(31_000);
    const error = await refusalOf(agent.prove({ task: task.id }));
    expect(error.code).toBe("task_ended");
    expect(error.message).toContain("is over: its deadline of 30 s passed");
    expect(hintOf(error)).toContain("a deadline that fits");
  });

  test("says of a killed one who wants to know, and not to open the next at once", async () => {
    const { world, core, agent } = await setUp();
    const { task, taskToken } = await agent.open();
    await core.endTask(
      {
        taskId: task.id,
        by: { kind: "administrator", name: "alice" },
        state: "killed",
        reason: "seen in a leak",
        waitSeconds: 0,
      },
      world.context(),
    );
    const error = await refusalOf(core.heartbeat({ token: taskToken }, world.context()));
    expect(error.message).toBe(`${task.id} was killed: seen in a leak.`);
    expect(error.public).toMatchObject({ task: task.id, state: "killed" });
    expect(hintOf(error)).toContain("Stop.");
  });
});

describe("a task that its holder ended", () => {
  test.each([
    ["complete", "is completed."],
    ["found nothing", "is completed: found nothing."],
  ])("for the reason %s says so, and no verb twice", async (reason, said) => {
    const { world, core, agent } = await setUp();
    const { task, taskToken } = await agent.open();
    const by = { kind: "workload", name: INVOICE_BOT } as const;
    const end = { taskId: task.id, by, state: "completed", reason, waitSeconds: 0 } as const;
    await core.endTask(end, world.context());
    const error = await refusalOf(core.heartbeat({ token: taskToken }, world.context()));
    expect(error.message).toBe(`${task.id} ${said}`);
  });
});

describe("a descriptor", () => {
  test("without a member says that it is missing, in the words of JSON", async () => {
    const { agent } = await setUp();
    const error = await refusalOf(agent.prove({ deadline: "5m" }));
    expect(error.message).toBe("authorization_details[0].goal: is missing; expected a text");
  });

  test("with a member of another type says which is expected", async () => {
    const { agent } = await setUp();
    const error = await refusalOf(agent.open({ credentials: "all" }));
    expect(error.message).toBe("authorization_details[0].credentials: expected of type array");
  });

  test("with too many credentials says how many there may be", async () => {
    const { agent } = await setUp();
    const credentials = Array.from({ length: 17 }, () => ({ role: READER }));
    const error = await refusalOf(agent.open({ credentials }));
    expect(error.message).toContain("credentials: expected at most 16 of them");
  });
});
