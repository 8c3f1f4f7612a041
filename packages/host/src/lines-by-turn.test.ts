import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { linesByTurn } from "./lines-by-turn.ts";
import { systemClock } from "./system-clock.ts";

function recorded() {
  const written: string[] = [];
  const ends = new EventEmitter();
  const stream = linesByTurn({ write: (text) => written.push(text) }, systemClock, ends as never);
  return { written, ends, stream };
}

test("the lines of a turn are one write, in their order", async () => {
  const { written, stream } = recorded();
  stream.write("a\n");
  stream.write("b\n");
  expect(written).toEqual([]);
  await systemClock.turn();
  stream.write("c\n");
  await systemClock.turn();
  expect(written).toEqual(["a\nb\n", "c\n"]);
});

test("what waits when the process exits is written first", () => {
  const { written, ends, stream } = recorded();
  stream.write("last words\n");
  ends.emit("exit");
  expect(written).toEqual(["last words\n"]);
});
