import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { jwtVerify, type JWK } from "jose";

// A minter of tokens for an API of one's own, in one file that survives a crash at any line: what
// it made, and each name that it ever ended, is in its database before it is answered.

export interface MinterOptions {
  /** Public key that Mayfly signs with; `mayfly backend test` shows it. */
  readonly publicKey: JWK;
  /** What `iss` and `aud` have to say. */
  readonly issuer: string;
  readonly audience: string;
  readonly file: string;
}
type Request = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const past = (time: unknown): boolean => Date.parse(text(time)) < Date.now();
const hash = (token: string): string => createHash("sha256").update(token).digest("hex");
const declined = (code: string, effect = "none") => ({ result: "declined", effect, code });

export function createMinter({ publicKey, issuer, audience, file }: MinterOptions) {
  const db = new DatabaseSync(file);
  db.exec(`CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, id TEXT, mark TEXT,
    hash TEXT, scopes TEXT, expires_at TEXT, ended INTEGER NOT NULL DEFAULT 0,
    taken_at INTEGER NOT NULL DEFAULT 0) STRICT`);
  const find = db.prepare("SELECT * FROM leases WHERE name = ?");
  const end = db.prepare("UPDATE leases SET ended = 1, hash = NULL WHERE name = ?");
  // A primary key, so that of two mints under one name the second fails, and for ever.
  const take = db.prepare("INSERT OR IGNORE INTO leases (name, ended, taken_at) VALUES (?, 1, ?)");
  const make = db.prepare(`INSERT OR IGNORE INTO leases (name, id, mark, hash, scopes, expires_at)
    VALUES (?, ?, ?, ?, ?, ?)`);
  const lives = (row: Request | undefined, id?: unknown): boolean =>
    row !== undefined && row["ended"] === 0 && (id === undefined || row["id"] === id);

  const operations: Readonly<Record<string, (request: Request) => object>> = {
    describe: () => ({
      result: "described",
      protocol: 1,
      identity: "reference-minter",
      now: new Date(Date.now()).toISOString(),
      problems: [],
    }),
    issue: ({ name, mark, grant, expires_at: expiresAt, deadline }) => {
      if (past(deadline)) return declined("past_deadline");
      const [id, token] = [randomBytes(8).toString("hex"), randomBytes(32).toString("base64url")];
      const scopes = JSON.stringify(grant);
      const row = [text(name), id, text(mark), hash(token), scopes, text(expiresAt)];
      if (make.run(...row).changes === 0) return { result: "name_taken" };
      return { result: "issued", id, expires_at: expiresAt, public: {}, secret: { token } };
    },
    // The name is taken for ever, so that a mint which comes later finds it taken.
    recover: ({ name, quarantine_seconds: seconds }) => {
      const row = find.get(text(name));
      // Whoever asks again, since the answer before may have reached nobody, is told the same.
      if (typeof row?.["id"] === "string") {
        end.run(text(name));
        return { result: "destroyed", looked: { credentials: 1 } };
      }
      take.run(text(name), Date.now());
      const takenAt = Number(row === undefined ? Date.now() : row["taken_at"]);
      const left = Math.ceil(Number(seconds) - (Date.now() - takenAt) / 1_000);
      return left > 0
        ? { result: "wait", seconds: left }
        : { result: "absent", looked: { credentials: 0 } };
    },
    revoke: ({ name, id }) => {
      if (lives(find.get(text(name)), id)) end.run(text(name));
      return { result: "ended" };
    },
    probe: ({ name, id }) => {
      const live = lives(find.get(text(name)), id);
      return { result: live ? "accepted" : "refused", looked: { credentials: live ? 1 : 0 } };
    },
    renew: ({ name, id, expires_at: expiresAt, deadline }) => {
      if (past(deadline)) return declined("past_deadline");
      const row = find.get(text(name));
      if (!lives(row, id) || past(row?.["expires_at"])) return { result: "gone" };
      db.prepare("UPDATE leases SET expires_at = ? WHERE name = ?").run(
        text(expiresAt),
        text(name),
      );
      return { result: "renewed", expires_at: expiresAt };
    },
    list: ({ after }) => {
      const items = db
        .prepare(
          "SELECT name, id, mark FROM leases WHERE ended = 0 AND name > ? ORDER BY name LIMIT 100",
        )
        .all(text(after));
      const next = items.length === 100 ? items.at(-1)?.["name"] : null;
      return { result: "listed", items, next };
    },
  };

  /** The whole of a request is its signed claims: what is not verified is not looked at. */
  async function answer(body: string): Promise<{ status: number; body: object }> {
    const verified = await jwtVerify(body, publicKey, {
      typ: "mayfly-minter+jwt",
      issuer,
      audience,
      requiredClaims: ["exp", "iat", "jti"],
      clockTolerance: 5,
    }).catch(() => null);
    if (verified === null) return { status: 401, body: declined("signature") };
    const { operation, request } = verified.payload;
    const run = Object.hasOwn(operations, text(operation)) ? operations[text(operation)] : null;
    if (run === undefined || run === null) return { status: 200, body: declined("unknown") };
    return { status: 200, body: run(request as Request) };
  }

  /** For `http.createServer`, or `https`. */
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    readAll(request)
      .then(answer)
      .then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      })
      .catch(() => response.destroy());
  };
  /** What the API asks that the tokens are for. */
  const accepts = (token: string): boolean => {
    const row = db
      .prepare("SELECT expires_at FROM leases WHERE hash = ? AND ended = 0")
      .get(hash(token));
    return row !== undefined && !past(row["expires_at"]);
  };
  return { serve, db, operations, accepts };
}

async function readAll(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += String(chunk);
    if (body.length > 65_536) throw new Error("too long");
  }
  return body;
}
