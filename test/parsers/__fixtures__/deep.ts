import { parseShallowJson } from "@mayfly/spec";

/** What `JSON.parse` alone does with such a text: see parse-shallow-json.ts. */
const DEEP = `${"[0,".repeat(20_000)}0}`;
const SOUND = JSON.stringify(Array.from({ length: 500 }, (_, n) => ({ a: `k${n}`, b: [n, {}] })));

let refused = 0;
for (let n = 0; n < 300; n += 1) {
  try {
    parseShallowJson(DEEP);
  } catch (error) {
    if (error instanceof SyntaxError) refused += 1;
  }
  // What takes handles again finds those that are spoilt.
  parseShallowJson(SOUND);
}
process.stdout.write(`${refused} refused\n`);
