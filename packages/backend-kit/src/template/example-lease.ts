import { z } from "zod";
import { listedMarks, waitMs } from "@mayfly/backend-kit";
import {
  Secret,
  type BackendHost,
  type CallContext,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type MarkedPage,
  type Probe,
  type RecoverContext,
  type Recovered,
  type Revoked,
} from "@mayfly/spec";
import { failures, type ExampleApi } from "./example-api.ts";
import { leases } from "./example-settings.ts";

/** What the operations of one open backend share. */
export interface Place {
  readonly api: ExampleApi;
  readonly host: BackendHost;
}

const account = z.object({ id: z.string(), sessions: z.int() });
const tombstone = z.object({ taken_at: z.number(), now: z.number() });
const page = z.object({
  items: z.array(z.object({ name: z.string(), id: z.string(), mark: z.string() })).max(1_000),
  next: z.string().nullable(),
});
const handle = z.strictObject({ name: z.string(), id: z.string() });

const PASSWORD_BYTES = 32;
const pathOf = (name: string): string => `/accounts/${encodeURIComponent(name)}`;
const writeHandle = (of: z.infer<typeof handle>): Secret => Secret.of(JSON.stringify(of));
const readHandle = (text: Secret): z.infer<typeof handle> =>
  handle.parse(JSON.parse(text.expose("upstream")));
/** What is tagged: the name alone, since nothing else of an account is ours. */
const tagged = (name: string): string => `example/${name}`;

export async function issue(
  { api, host }: Place,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const name = plan.externalName;
  const password = Buffer.from(host.random.bytes(PASSWORD_BYTES)).toString("base64url");
  const { status, body } = await api.call(
    {
      method: "POST",
      path: "/accounts",
      expect: [201, 409],
      beforeSend: () => failures.refuseLate(context, "issue"),
      body: {
        name,
        password,
        scopes: leases.grantOf(plan).scopes,
        mark: host.tag(tagged(name)),
        expires_at: plan.expiresAt,
        // The upstream tests it, so that a call which arrives late makes nothing.
        deadline: context.issueBy,
      },
    },
    context,
  );
  if (status === 409) throw failures.nameTaken("an account");
  return {
    material: { username: name, password: Secret.of(password) },
    fingerprintOf: "password",
    expiresAt: plan.expiresAt,
    handle: writeHandle({ name, id: account.parse(body).id }),
  };
}

/** By name and id: what took the name of a lease that is gone is not ours to destroy. */
export async function revoke(place: Place, of: Secret, context: CallContext): Promise<Revoked> {
  const { name, id } = readHandle(of);
  await destroy(place, `${pathOf(name)}?id=${encodeURIComponent(id)}`, context);
  const { verdict } = await probe(place, of, context);
  if (verdict === "refused") return { outcome: "refused" };
  throw failures.unfinished("revoke: the account or a session of it is still there", 1);
}

async function destroy(place: Place, path: string, context: CallContext): Promise<boolean> {
  const { status } = await place.api.call({ method: "DELETE", path, expect: [204, 404] }, context);
  return status === 204;
}

export async function probe({ api }: Place, of: Secret, context: CallContext): Promise<Probe> {
  const { name, id } = readHandle(of);
  const { status, body } = await api.call(
    { method: "GET", path: pathOf(name), expect: [200, 404] },
    context,
  );
  const found = status === 200 ? account.parse(body) : null;
  const isThere = found !== null && found.id === id;
  return {
    verdict: isThere ? "accepted" : "refused",
    looked: { accounts: isThere ? 1 : 0, sessions: isThere ? found.sessions : 0 },
  };
}

/** The name is taken first, so that a mint which comes late is refused. */
export async function recover(
  place: Place,
  plan: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const path = `/tombstones/${encodeURIComponent(plan.externalName)}`;
  const { body } = await place.api.call({ method: "PUT", path, expect: [200] }, context);
  const { taken_at: takenAt, now } = tombstone.parse(body);
  const accountPath = pathOf(plan.externalName);
  const { status } = await place.api.call(
    { method: "GET", path: accountPath, expect: [200, 404] },
    context,
  );
  const wasThere = status === 200;
  // Told before it is destroyed: who is cut off after that leaves a ledger that knows of it.
  if (wasThere) {
    await context.found({ accounts: 1 });
    await destroy(place, accountPath, context);
  }
  const leftMs = takenAt + place.host.quarantineSeconds * 1_000 - now;
  if (!wasThere && leftMs > 0) return waitMs(leftMs);
  await destroy(place, path, context);
  return wasThere
    ? { outcome: "destroyed", looked: { accounts: 1 } }
    : { outcome: "absent", looked: { accounts: 0 } };
}

export async function extend(
  { api }: Place,
  of: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const { name, id } = readHandle(of);
  const path = `${pathOf(name)}?id=${encodeURIComponent(id)}`;
  const body = { expires_at: expiresAt };
  const beforeSend = (): void => failures.refuseLate(context, "renew");
  await api.call({ method: "PATCH", path, body, expect: [200], beforeSend }, context);
  return expiresAt;
}

export async function list(
  { api, host }: Place,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const path = `/accounts?after=${encodeURIComponent(after ?? "")}`;
  const { body } = await api.call({ method: "GET", path, expect: [200] }, context);
  const { items, next } = page.parse(body);
  const marked = items.flatMap(({ name, id, mark }) =>
    listedMarks(
      {
        externalName: name,
        mark: () => (host.verifyTag(tagged(name), mark) ? { kind: "lease" } : null),
        handle: () => writeHandle({ name, id }),
      },
      host,
    ),
  );
  return { marked, next };
}
