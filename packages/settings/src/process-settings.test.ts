import { describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { configPage, readBrokerSettings, readClientSettings, unsafeSettings } from "./index.ts";

const noFile = (): string => {
  throw new Error("no such file");
};
const least = {
  MAYFLY_ISSUER: "https://mayfly.acme.test",
  MAYFLY_DATABASE_URL: "postgres://mayfly_broker:hunter2@db/mayfly",
  MAYFLY_SEALING_KEY_FILE: "/etc/mayfly/keys",
};
const problemsOf = (environment: Record<string, string>, readFile = noFile): string => {
  try {
    readBrokerSettings(environment, readFile);
  } catch (error) {
    return String(error);
  }
  return "";
};

describe("the configuration", () => {
  it("has safe defaults for all but the issuer and the database", () => {
    const settings = readBrokerSettings(least, noFile);
    expect(settings.listen).toEqual({ host: "127.0.0.1", port: 8420 });
    expect(settings.queue).toBe("postgres");
    expect(settings.redisUrl).toBeNull();
    expect(unsafeSettings(settings)).toEqual([]);
  });
  it("refuses an unknown MAYFLY_ variable by name and leaves other variables alone", () => {
    expect(problemsOf({ ...least, MAYFLY_ISSSUER: "x", HOME: "/root" })).toContain(
      "MAYFLY_ISSSUER: there is no such variable",
    );
  });
  it("reports all problems at once", () => {
    const text = problemsOf({ MAYFLY_ISSUER: "not a url", MAYFLY_LISTEN: "nowhere" });
    expect(text).toContain("MAYFLY_ISSUER");
    expect(text).toContain("MAYFLY_LISTEN");
    expect(text).toContain("MAYFLY_DATABASE_URL: it is required");
  });
  it("never repeats a secret in a problem", () => {
    const text = problemsOf({ ...least, MAYFLY_DATABASE_URL_FILE: "/x", MAYFLY_STUCK_MAX: "-1" });
    expect(text).toContain("MAYFLY_DATABASE_URL: set it or MAYFLY_DATABASE_URL_FILE, not both");
    expect(text).not.toContain("hunter2");
  });
  it("reads a secret from a file", () => {
    const settings = readBrokerSettings(
      {
        MAYFLY_ISSUER: least.MAYFLY_ISSUER,
        MAYFLY_SEALING_KEY_FILE: least.MAYFLY_SEALING_KEY_FILE,
        MAYFLY_DATABASE_URL_FILE: "/run/secret",
      },
      (path) => `${path}-content\n`,
    );
    expect(settings.databaseUrl.expose("upstream")).toBe("/run/secret-content");
  });
  it.each([
    "https://acme.test/",
    "https://acme.test?x=1",
    "https://acme.test#f",
    "https://user@acme.test",
    "ftp://acme.test",
  ])("refuses %s as an issuer", (issuer) => {
    expect(problemsOf({ ...least, MAYFLY_ISSUER: issuer })).toContain("MAYFLY_ISSUER: expected");
  });
  it.each(["1e3", "0x10", "1.5", "", "-2", "1000000000"])(
    "refuses %j as a whole number",
    (value) => {
      const text = problemsOf({ ...least, MAYFLY_ATTEMPTS_UNTIL_STUCK: value });
      expect(text).toContain("MAYFLY_ATTEMPTS_UNTIL_STUCK");
    },
  );
  it("wants the Redis URL when the queue is Redis", () => {
    expect(problemsOf({ ...least, MAYFLY_QUEUE: "redis" })).toContain("MAYFLY_REDIS_URL");
  });
  it.each([{}, { MAYFLY_SEALING_KEY_FILE: "/k", MAYFLY_SEALING_KEYS: "ring" }])(
    "wants the sealing keys in one place: %j",
    (keys) => {
      const { MAYFLY_SEALING_KEY_FILE: _one, ...without } = least;
      expect(problemsOf({ ...without, ...keys })).toContain("MAYFLY_SEALING_KEY_FILE");
    },
  );
  it("warns of each unsafe setting by name", () => {
    const settings = readBrokerSettings(
      { ...least, MAYFLY_UNSAFE_QUARANTINE_SECONDS: "1" },
      noFile,
    );
    expect(unsafeSettings(settings)).toEqual(["MAYFLY_UNSAFE_QUARANTINE_SECONDS"]);
  });
  it("lets a service start beside the variables of the command, and the command without any", () => {
    const client = { MAYFLY_URL: "https://mayfly.acme.test", MAYFLY_ADMIN_TOKEN_FILE: "/x" };
    expect(problemsOf({ ...least, ...client })).toBe("");
    const settings = readClientSettings({}, noFile);
    expect(settings).toMatchObject({
      url: "http://127.0.0.1:8420",
      adminToken: null,
      databaseUrl: null,
      queue: "postgres",
      sealingKeyFile: null,
    });
  });
  it("reads the administrator's token of the command from a file, and shows it nowhere", () => {
    const environment = { MAYFLY_ADMIN_TOKEN_FILE: "/run/token" };
    const settings = readClientSettings(environment, () => "mayfly_admin_x\n");
    expect(settings.adminToken?.expose("upstream")).toBe("mayfly_admin_x");
    expect(JSON.stringify(settings)).not.toContain("mayfly_admin_x");
  });
  it("reads the ranges of trusted proxies, and refuses what is none", () => {
    const read = (value: string) =>
      readBrokerSettings({ ...least, MAYFLY_TRUSTED_PROXIES: value }, noFile).trustedProxies;
    expect(read("10.0.0.0/8, 192.0.2.7,fd00::/8")).toEqual([
      { address: "10.0.0.0", family: "ipv4", prefix: 8 },
      { address: "192.0.2.7", family: "ipv4", prefix: 32 },
      { address: "fd00::", family: "ipv6", prefix: 8 },
    ]);
    expect(read("none")).toEqual([]);
    for (const wrong of ["10.0.0.0/33", "10.0.0/8", "proxy", "10.0.0.0/8/8", "::/129", "*", "/8"]) {
      expect(problemsOf({ ...least, MAYFLY_TRUSTED_PROXIES: wrong })).toContain("address ranges");
    }
  });
  it("wants the certificate and its key, or neither", () => {
    for (const name of ["MAYFLY_TLS_CERT_FILE", "MAYFLY_TLS_KEY_FILE"]) {
      expect(problemsOf({ ...least, [name]: "/x" })).toContain("set it and MAYFLY_TLS_KEY_FILE");
    }
  });
  it("lets a broker serve with its SVID only where there is an agent, and with nothing else", () => {
    const svid = { ...least, MAYFLY_TLS_FROM_WORKLOAD_API: "true" };
    const agent = { MAYFLY_WORKLOAD_API: "unix:///run/agent.sock" };
    expect(problemsOf(svid)).toContain("it needs MAYFLY_WORKLOAD_API");
    const files = { MAYFLY_TLS_CERT_FILE: "/c", MAYFLY_TLS_KEY_FILE: "/k" };
    expect(problemsOf({ ...svid, ...agent, ...files })).toContain("not both");
    expect(problemsOf({ ...svid, ...agent, MAYFLY_LISTEN: "0.0.0.0:8420" })).toBe("");
  });

  it("lets no broker speak plain http beyond loopback, unless a proxy speaks TLS or it is said to be unsafe", () => {
    const on = (host: string, more: Record<string, string> = {}) =>
      problemsOf({ ...least, MAYFLY_LISTEN: `${host}:8420`, ...more });
    const proxy = { MAYFLY_TRUSTED_PROXIES: "10.0.0.0/8" };
    for (const open of ["0.0.0.0", "[::]", "10.1.2.3", "broker.internal", "127.evil.test"]) {
      expect(on(open)).toContain("MAYFLY_LISTEN: ");
      expect(on(open, { MAYFLY_TLS_CERT_FILE: "/c", MAYFLY_TLS_KEY_FILE: "/k" })).toBe("");
      expect(on(open, proxy)).toBe("");
      expect(on(open, { ...proxy, MAYFLY_ISSUER: "http://acme.test" })).toContain("MAYFLY_LISTEN");
      expect(on(open, { MAYFLY_UNSAFE_PLAIN_HTTP: "true" })).toBe("");
    }
    for (const own of ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"]) expect(on(own)).toBe("");
    const unsafe = readBrokerSettings({ ...least, MAYFLY_UNSAFE_PLAIN_HTTP: "true" }, noFile);
    expect(unsafeSettings(unsafe)).toEqual(["MAYFLY_UNSAFE_PLAIN_HTTP"]);
  });
  it("is documented by a page that is generated from the same table", () => {
    const page = readFileSync(new URL("../../../docs/config.md", import.meta.url), "utf8");
    expect(page).toBe(configPage());
  });
});
