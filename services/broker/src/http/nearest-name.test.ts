import { expect, it } from "vitest";
import { nearestName } from "./nearest-name.ts";

it("finds the name that was meant, within two edits, and none where several letters differ", () => {
  const names = ["orders-db", "ordres", "billing-db", "orders-db/reader", "db"];
  for (const [typed, meant] of [
    ["ordres-db", "orders-db"],
    ["orders_db", "orders-db"],
    ["orders-db/raeder", "orders-db/reader"],
    ["billing", null],
    ["bd", null],
    ["x", null],
    ["", null],
  ] as const) {
    expect(nearestName(typed, names), typed).toBe(meant);
  }
});
