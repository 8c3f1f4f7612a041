import { describe, expect, it } from "vitest";
import { BrokerError, ERROR_CODES, type ErrorCode, type Log } from "@mayfly/spec";
import { knownError, oauthAnswer, problemAnswer } from "./problem.ts";

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
const codes = Object.keys(ERROR_CODES) as ErrorCode[];

const ISSUER = "https://mayfly.test";

describe("an error answer", () => {
  it.each(codes)("for %s is a problem with its status, code and what to do", (code) => {
    const answer = problemAnswer(
      new BrokerError(code, "Why.", { where: "body.x" }),
      "trace-1",
      ISSUER,
    );
    expect(answer.status).toBe(ERROR_CODES[code].status);
    expect(answer.headers["Content-Type"]).toBe("application/problem+json");
    expect(answer.headers["Cache-Control"]).toBe("no-store");
    expect(answer.body).toMatchObject({ code, detail: "Why.", where: "body.x", trace: "trace-1" });
    expect(answer.body).toHaveProperty("todo", ERROR_CODES[code].todo);
  });
  it.each(codes)(
    "for %s at the token endpoint holds allowed characters only and is not stored",
    (code) => {
      const answer = oauthAnswer(new BrokerError(code, 'A "quoted" \\ pâth\n·'), "trace-1");
      expect(answer.body).toHaveProperty("error", ERROR_CODES[code].oauth);
      expect(answer.body).toHaveProperty(
        "error_description",
        expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/),
      );
      expect(answer.headers["Cache-Control"]).toBe("no-store");
      expect(answer.status).toBeGreaterThanOrEqual(400);
    },
  );
  it("with 503 or 429 says when to try again", () => {
    expect(oauthAnswer(new BrokerError("busy", "x"), "t").headers).toHaveProperty(
      "Retry-After",
      "5",
    );
    expect(
      oauthAnswer(new BrokerError("backend_unavailable", "x", { retryAfterSeconds: 0.2 }), "t")
        .headers,
    ).toHaveProperty("Retry-After", "1");
  });
  it("with 401 challenges on our own APIs", () => {
    expect(
      problemAnswer(new BrokerError("unauthenticated", "x"), "t", ISSUER).headers,
    ).toHaveProperty("WWW-Authenticate");
  });
  it("of a defect says nothing of it", () => {
    const known = knownError(new TypeError("password=hunter2"), silent);
    expect(JSON.stringify(problemAnswer(known, "t", ISSUER).body)).not.toContain("hunter2");
    expect(known.code).toBe("internal");
  });
  it("never carries the cause", () => {
    const error = new BrokerError("invalid_identity", "Not trusted.", {
      cause: new Error("kid 7 unknown"),
    });
    expect(JSON.stringify(oauthAnswer(knownError(error, silent), "t"))).not.toContain("kid 7");
  });
});
