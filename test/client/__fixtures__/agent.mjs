// An agent's program as its author writes it: plain JavaScript, run on each runtime from a folder
// that has nothing but the installed tarball.
import { existsSync, writeFileSync } from "node:fs";
import process from "node:process";
import { MayflyError, openTask, withTask } from "@mayfly/client";

const [mode, out] = process.argv.slice(2);
const issuer = process.env.EXPECTED_ISSUER;
const role = "orders-db/reader";
const options = {
  goal: "Look at orders",
  credentials: [role],
  deadline: "5m",
  idleTimeout: 6,
  issuer,
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function whole() {
  const seen = {};
  const misspelt = await openTask({ ...options, goals: "x" }).catch((error) => error);
  seen.misspelt = MayflyError.is(misspelt) ? misspelt.code : String(misspelt);
  const declared = [role, { role: "orders-db/writer", issue: "later" }];
  seen.result = await withTask({ ...options, credentials: declared }, async (task) => {
    const db = task.credential(role);
    console.log({ db, all: task.credentials, task, password: db.password }, [db.url]);
    console.log(String(db), `${db.url}`, JSON.stringify({ db, task }), db.password + "");
    await task.draw("orders-db/writer");
    await task.child({ goal: "A part", deadline: "1m", credentials: [role] }, (child) => {
      seen.child = child.id;
    });
    writeFileSync(out, JSON.stringify({ ...seen, task: task.id, login: db.expose() }));
    while (!existsSync(`${out}.go`)) await pause(50);
    return task.isOpen;
  });
  const failed = await withTask(options, () => {
    throw new RangeError("mine");
  }).catch((error) => error);
  writeFileSync(out, JSON.stringify({ ...seen, failed: failed.name }));
}

async function waiting() {
  await withTask(options, async (task) => {
    writeFileSync(out, JSON.stringify({ task: task.id, login: task.credential(role).expose() }));
    for (;;) await pause(1_000);
  });
}

await (mode === "whole" ? whole() : waiting());
