import { setImmediate } from "node:timers/promises";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { turnWrites } from "./turn-writes.ts";

/** A stream as a socket is one: what it is handed at once is one system call. */
function counted() {
  const calls: string[] = [];
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      calls.push(chunk);
      done();
    },
    writev: (chunks, done) => {
      calls.push(chunks.map(({ chunk }) => String(chunk)).join(""));
      done();
    },
  });
  return { calls, stream };
}
const clock = { turn: () => setImmediate() };

test("the commands of one turn leave as one write, those of the next as another", async () => {
  const { calls, stream } = counted();
  const began = turnWrites({ stream }, clock);
  for (const command of ["a", "b", "c"]) {
    began();
    stream.write(command);
  }
  expect(calls).toEqual([]);
  await setImmediate();
  expect(calls).toEqual(["abc"]);
  began();
  stream.write("d");
  await setImmediate();
  expect(calls).toEqual(["abc", "d"]);
});

test("a connection that was made anew within the turn is held back by itself", async () => {
  const first = counted();
  const second = counted();
  const connection = { stream: first.stream };
  const began = turnWrites(connection, clock);
  began();
  first.stream.write("a");
  connection.stream = second.stream;
  began();
  second.stream.write("b");
  began();
  second.stream.write("c");
  await setImmediate();
  expect(first.calls).toEqual(["a"]);
  expect(second.calls).toEqual(["bc"]);
});

test("without a connection there is nothing to hold back", async () => {
  const began = turnWrites({ stream: undefined }, clock);
  expect(began).not.toThrow();
});
