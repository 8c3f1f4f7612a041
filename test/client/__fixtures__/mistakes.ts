import { openTask, withTask, Secret, type Task } from "@mayfly/client";

// Each line is one mistake; the test counts that each is an error.
void openTask({ goal: "g", deadlin: "15m" });
void openTask({ goal: "g", deadline: "15 minutes" });
void openTask({ deadline: "15m" });
void openTask({ goal: "g", deadline: "15m", credential: ["a/b"] });
void openTask({ goal: "g", deadline: "15m", credentials: [{ role: "a/b", isue: "later" }] });
void openTask({ goal: "g", deadline: "15m", identity: "spife" });
void withTask({ goal: "g", deadline: "15m" }, (task) => task.credential("a/b").passwrd);
export const text: string = new Secret("x");
export const one = (task: Task): unknown => task.credential("a/b", "postgres");
export const two = (task: Task): string => task.credential("a/b").password;
