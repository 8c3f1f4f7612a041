import { expect, test } from "vitest";
import { namesSince, type Registered } from "./registered.ts";

const NAME = "/v1/roles/orders-db/w";
const nothing: Registered = { objects: new Map(), policies: "" };
const one: Registered = { objects: new Map([[NAME, "{}"]]), policies: "" };

test("who was told that it is registered may have spelled its path otherwise", () => {
  for (const path of [NAME, "/./v1/roles/orders-db/w", "/v1/roles/orders-db%2Fw?x#y"]) {
    expect(namesSince(nothing, one, [`PUT ${path}`]), path).toEqual([]);
  }
});

test("what nobody was told about is found", () => {
  for (const line of [`GET ${NAME}`, "PUT /v1/roles/orders-db/v", "PUT http://[/v1"]) {
    const stray = `${NAME} is registered, and its registration was not acknowledged`;
    expect(namesSince(nothing, one, [line]), line).toEqual([stray]);
  }
});
