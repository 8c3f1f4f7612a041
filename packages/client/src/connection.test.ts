import { expect, test } from "vitest";
import { connect } from "./connection.ts";
import { MayflyError } from "./mayfly-error.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";

test.for(["http://:hunter3@127.0.0.1:1", "http://u:hunter3@127.0.0.1:1", "http://u@127.0.0.1:1"])(
  "a broker's URL with a user or a password is refused, and not said again: %s",
  async (url) => {
    const error: unknown = await connect({ url }, testSurroundings(), undefined).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MayflyError);
    expect(error).toMatchObject({ code: "invalid_option", where: "url" });
    expect(String(error)).not.toContain("hunter3");
  },
);
