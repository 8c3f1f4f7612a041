import { describe, expect, test } from "vitest";
import { maxAgeSeconds } from "./max-age.ts";

describe("max-age", () => {
  test.each([
    ["public, max-age=300, must-revalidate", "", 300],
    ["MAX-AGE=300", "", 300],
    ['max-age="60"', "", 60],
    ["max-age=300", "100", 200],
    ["max-age=300", "400", 0],
    ["max-age=300", "soon", 300],
    ["no-store, max-age=300", "", 0],
    ["no-cache", "", 0],
    ["s-maxage=300", "", null],
    ["max-age=-1", "", null],
    ["max-age=99999999999", "", null],
    ["", "", null],
  ])("Cache-Control %j with Age %j is %j", (cacheControl, age, seconds) => {
    expect(maxAgeSeconds(cacheControl, age)).toBe(seconds);
  });
});
