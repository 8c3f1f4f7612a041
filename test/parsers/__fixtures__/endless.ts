import { watchForEndlessInput } from "../endless-input.ts";

/** A pattern that looks back exponentially, and what watches over it. */
const CPU_MS_MAX = 200;
const watch = watchForEndlessInput("planted", CPU_MS_MAX);
for (const input of ["aaaa", `${"a".repeat(64)}!`]) {
  watch.beginning(input);
  /^(?:a+)+$/.test(input);
}
