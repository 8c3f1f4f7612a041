import {
  MayflyError,
  openTask,
  spiffeIdentity,
  withTask,
  type Credential,
  type Task,
} from "@mayfly/client";

export const length: Promise<number> = withTask(
  { goal: "g", credentials: ["a/b", { role: "a/c", ttl: "5m", issue: "later" }], deadline: "15m" },
  async (task: Task) => {
    const db = task.credential("a/b");
    const url: string = db.url.expose();
    const kind: "postgres-password" = db.kind;
    const drawn = await task.draw("a/c", { ttl: 60 });
    const any: Credential = await task.renew(drawn, { ttl: "5m" });
    if (any.kind === "postgres-password") await task.endCredential(any);
    task.signal.addEventListener("abort", () => undefined);
    return url.length + kind.length;
  },
);

export async function explicit(): Promise<string> {
  await using task = await openTask({
    goal: "g",
    deadline: 900,
    identity: spiffeIdentity({ spiffeId: "spiffe://acme.test/a" }),
  });
  const own = { kind: "mine", token: (audience: string) => audience };
  await task.child({ goal: "c", deadline: "1m", identity: own }, (child) => child.id);
  await task.child({ goal: "c", deadline: "1m", identity: { kind: "x", token: (aud) => aud } });
  const { state, leases } = await task.complete({ waitSeconds: 2 });
  return `${state} ${leases[0]?.exposedUntil?.toISOString() ?? ""}`;
}

export const policiesOf = (error: unknown): readonly string[] =>
  MayflyError.is(error) ? error.determiningPolicies : [];
