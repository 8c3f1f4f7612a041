import { describe, expect, it } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { LiveRoles } from "./live-roles.ts";

const ROLE = "orders-db/reader";

describe("the live leases of a role", () => {
  it("are counted for a second, with what was granted since", async () => {
    const clock = createFakeClock();
    const roles = new LiveRoles(clock);
    expect(roles.read(ROLE, 1000)).toBeNull();
    roles.note(ROLE, 40);
    roles.granted(ROLE, 2);
    roles.granted(ROLE, 1);
    await clock.advance(999);
    expect(roles.read(ROLE, 1000)).toBe(43);
    await clock.advance(1);
    expect(roles.read(ROLE, 1000)).toBeNull();
  });

  it("are counted anew in each batch near the limit, which is never passed by an old count", () => {
    const roles = new LiveRoles(createFakeClock());
    roles.note(ROLE, 89);
    expect(roles.read(ROLE, 100)).toBe(89);
    roles.granted(ROLE, 1);
    expect(roles.read(ROLE, 100)).toBeNull();
  });

  it("of one role say nothing of another, and granting what was never counted is no count", () => {
    const roles = new LiveRoles(createFakeClock());
    roles.granted(ROLE, 5);
    expect(roles.read(ROLE, 100)).toBeNull();
    roles.note(ROLE, 0);
    expect(roles.read("orders-db/writer", 100)).toBeNull();
  });
});
