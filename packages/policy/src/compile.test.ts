import { describe, expect, test } from "vitest";
import { parseResourceServerName } from "@mayfly/spec";
import { accessRequest, administration } from "@mayfly/testkit";
import { createPolicyCompiler } from "./compile.ts";
import { LIMITS } from "./limits.ts";

const compiler = createPolicyCompiler();
const ANY = "(principal, action, resource)";

function problemsOf(text: string) {
  const compiled = compiler.compile([{ name: "a.cedar", text }]);
  return compiled.ok ? [] : compiled.problems;
}
function engineOf(text: string) {
  const compiled = compiler.compile([{ name: "a.cedar", text }]);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.engine;
}

describe("a policy that is refused", () => {
  test.for<readonly [string, string, string, string | null, number]>([
    ["has no @id", `\npermit ${ANY};`, "no name: write @id(", null, 2],
    ["has an empty @id", `@id permit ${ANY};`, "no name: write @id(", null, 1],
    ["has a malformed @id", `@id("a b") permit ${ANY};`, '@id("a b") is no policy id', null, 1],
    ["has an unknown annotation", `@id("a") @owner("x") permit ${ANY};`, "@owner is not", "a", 1],
    ["has an empty description", `@id("a") @description permit ${ANY};`, "@description is", "a", 1],
    [
      "is a template",
      `@id("a") permit (principal == ?principal, action, resource);`,
      "Templ",
      null,
      1,
    ],
    ["does not end", `@id("a") permit ${ANY}`, "add a semicolon", null, 1],
    ["does not close a string", `@id("a) permit ${ANY};\n`, "close it with", null, 1],
    ["does not parse", `@id("a") permit ${ANY} when {\n 1 + };`, "Unexpected token `}`", null, 2],
    [
      "misspells a fact",
      `// a comment; "with traps\n@id("a")\npermit ${ANY}\nwhen { context.task.dedline_seconds < 3 };`,
      "dedline_seconds",
      "a",
      4,
    ],
    [
      "names an action that is none",
      `@id("é") permit ${ANY};@id("a") permit (principal, action == Action::"isue", resource);`,
      "did you mean",
      "a",
      1,
    ],
    [
      "can never apply",
      `@id("a") forbid (principal, action == Action::"credential", resource);`,
      "impossible",
      "a",
      1,
    ],
    [
      "reads a tag without asking for it",
      `@id("a") permit ${ANY} when { principal.getTag("team") == "x" };`,
      "hasTag",
      "a",
      1,
    ],
    [
      "compares with a word outside a closed list",
      `@id("a") forbid ${ANY} when { ["restrcted"].contains(resource.data_class) };`,
      'resource.data_class is never "restrcted"',
      "a",
      1,
    ],
    [
      "names a role that cannot be",
      `@id("a") forbid (principal, action, resource == Role::"reader");`,
      "names no role that could exist",
      "a",
      1,
    ],
    [
      "names a workload that cannot be",
      `@id("a") forbid (principal == Workload::"bot", action, resource);`,
      "names no workload that could exist",
      "a",
      1,
    ],
    [
      "reads a member of an entity that requests lack",
      `@id("a") permit ${ANY} when { Role::"a/b".environment == "prod" };`,
      "Members may be read of principal",
      "a",
      1,
    ],
    [
      "uses an extension function",
      `@id("a") permit ${ANY} when { ip("10.0.0.1").isLoopback() };`,
      "isLoopback() has nothing",
      "a",
      1,
    ],
    [
      "holds a number that JSON cannot",
      `@id("a") permit ${ANY} when { context.ttl_seconds < 9007199254740993 };`,
      "a number above",
      null,
      1,
    ],
  ])("%s", ([, text, message, policyId, line]) => {
    const found = problemsOf(text).filter((problem) => problem.message.includes(message));
    expect(found).toMatchObject([{ source: "a.cedar", policyId, line }]);
  });

  test("repeats an @id of another source", () => {
    const text = `@id("a") permit ${ANY};`;
    const compiled = compiler.compile([
      { name: "one", text },
      { name: "two", text: `\n${text}` },
    ]);
    const message = "This @id is already that of the policy at one:1.";
    expect(compiled).toEqual({
      ok: false,
      problems: [{ source: "two", policyId: "a", message, line: 2 }],
    });
  });

  test("is one of many: all are told, up to a bound, in the order of the files", () => {
    const problems = problemsOf(`permit ${ANY};\n`.repeat(LIMITS.problems + 7));
    expect(problems).toHaveLength(LIMITS.problems + 1);
    expect(problems[1]?.line).toBe(2);
    expect(problems.at(-1)?.message).toBe("There are 7 more problems.");
  });
});

describe("bounds", () => {
  const source = (name: string, text = ""): { name: string; text: string } => ({ name, text });
  test.for<readonly [string, readonly { name: string; text: string }[]]>([
    ["sources; at most 64", Array.from({ length: 65 }, (_, at) => source(`s${at}`))],
    ["bytes; at most 262144", [source("a", " ".repeat(LIMITS.sourceBytes + 1))]],
    ["Two sources have this name", [source("a"), source("a")]],
    ["is no source name", [source("a\nb")]],
    ["not well-formed Unicode", [source("a", `// ${"\uD800"}`)]],
    ["1001 policies; at most 1000", [source("a", `permit${ANY};`.repeat(1_001))]],
    [
      "larger than 32768 bytes",
      [source("a", `permit ${ANY} // ${"x".repeat(LIMITS.policyBytes)}\n;`)],
    ],
  ])("%s", ([message, sources]) => {
    const compiled = compiler.compile(sources);
    const messages = compiled.ok ? [] : compiled.problems.map((problem) => problem.message);
    expect(messages).toContainEqual(expect.stringContaining(message));
  });

  const chain = (length: number, join: string): string =>
    Array.from({ length }, () => "context.task.targets.isEmpty()").join(join);
  const nest = (depth: number, inner: string): string =>
    "(".repeat(depth) + inner + ")".repeat(depth);
  const permit = (body: string): string => `@id("deep") permit ${ANY} when { ${body} };`;

  test("what the bounds admit, Cedar can parse, validate and evaluate", () => {
    const most = [
      chain(85, " && "),
      chain(85, " || "),
      nest(13, chain(85, " || ")),
      `${"1 + ".repeat(126)} 1 > 0`,
      `${nest(13, "1 + ".repeat(126) + "1")} > 0`,
      `${"(1 + ".repeat(14)}1${")".repeat(14)} > 0`,
      `${"!(".repeat(14)}true${")".repeat(14)}`,
      `${"if context.task.targets.isEmpty() then true else ".repeat(84)} true`,
      `[${'"x", '.repeat(6_000)}"m"].contains(resource.environment) || true`,
      `${"[".repeat(14)}1${"]".repeat(14)} == ${"[".repeat(14)}2${"]".repeat(14)} || true`,
      `true ${"} when { true ".repeat(125)}`,
    ];
    for (const body of most) {
      expect(engineOf(permit(body)).decide(accessRequest())).toMatchObject({ effect: "permit" });
    }
  });

  test.for<readonly [string, string]>([
    ["operators", chain(20_000 / 40, " && ")],
    ["operators", "!".repeat(5_000) + "true"],
    ["operators", "-".repeat(5_000) + "1 < 2"],
    ["operators", "if true then ".repeat(200) + "true" + " else true".repeat(200)],
    ["operators", `true ${"} unless { false ".repeat(200)}`],
    ["nests deeper", nest(5_000, "true")],
    ["nests deeper", "[".repeat(200) + "]".repeat(200)],
    ["members", `context${".a".repeat(1_000)}`],
    ["nests deeper", "f(".repeat(1_000) + ")".repeat(1_000)],
  ])("too many or too deep (%s) is refused and harms nobody", ([message, body]) => {
    const engine = engineOf(`@id("a") permit ${ANY};`);
    expect(problemsOf(permit(body))[0]?.message).toContain(message);
    expect(engine.decide(accessRequest()).effect).toBe("permit");
  });
});

describe("an engine", () => {
  test("explains a forbid in plain words, with the description of the policy", () => {
    const engine = engineOf(
      `@id("no-prod-writes") @description("Production is written by migrations alone")
       forbid (principal, action, resource) when { resource.reversibility != "read_only" };`,
    );
    const request = accessRequest({
      role: "orders-db/writer",
      roleFacts: { reversibility: "irreversible" },
    });
    expect(engine.decide(request).explanation).toBe(
      "Policy 'no-prod-writes' forbids orders-db/writer for spiffe://acme.test/agent/invoice-bot." +
        " Production is written by migrations alone.",
    );
  });

  test("names at most five policies in words and all of them in the verdict", () => {
    const text = Array.from({ length: 7 }, (_, at) => `@id("f${at}") forbid ${ANY};`).join("\n");
    const verdict = engineOf(text).decide(accessRequest());
    expect(verdict.determining).toHaveLength(7);
    expect(verdict.explanation).toContain(
      "Policies 'f0', 'f1', 'f2', 'f3', 'f4' and 2 more forbid",
    );
  });

  test("has a digest that neither comments nor file names change, and every meaning does", () => {
    const digest = (text: string, name = "a"): string => {
      const compiled = compiler.compile([{ name, text }]);
      return compiled.ok ? compiled.engine.digest : "";
    };
    const base = digest(`@id("a") permit ${ANY} when { context.ttl_seconds < 60 };`);
    expect(digest(`// c\n@id("a")permit${ANY}when{context.ttl_seconds<60};`, "b")).toBe(base);
    const others = [
      `@id("a") permit ${ANY} when { context.ttl_seconds < 61 };`,
      `@id("a") permit ${ANY} when { context.ttl_seconds <= 60 };`,
      `@id("a") forbid ${ANY} when { context.ttl_seconds < 60 };`,
      `@id("b") permit ${ANY} when { context.ttl_seconds < 60 };`,
      `@id("a") @description("x") permit ${ANY} when { context.ttl_seconds < 60 };`,
      `@id("a") permit ${ANY} unless { context.ttl_seconds < 60 };`,
    ].map((text) => digest(text));
    expect(new Set([base, ...others, ""]).size).toBe(others.length + 2);
  });

  test("accepts no policies at all, and one thousand", () => {
    expect(compiler.compile([])).toMatchObject({ ok: true, engine: { policyIds: [] } });
    const many = Array.from({ length: 1_000 }, (_, at) => {
      return `@id("p${at}") permit (principal, action, resource == Role::"db${at % 400}/reader");`;
    });
    const engine = engineOf(many.join("\n"));
    expect(engine.policyIds).toHaveLength(1_000);
    const verdict = engine.decide(accessRequest({ role: "db7/reader" }));
    expect(verdict.determining).toEqual(["p407", "p7", "p807"]);
    expect(engine.decide(accessRequest()).effect).toBe("deny");
  });
});

describe("policies that were activated under another vocabulary", () => {
  const text = `
    @id("reads-what-is-left")
    permit (principal, action == Action::"register", resource)
    when { resource is Backend || resource is Role || !resource.administrators };
    @id("reads-what-is-no-more")
    forbid (principal, action == Action::"issue", resource) when { resource.colour == "red" };`;
  test("stay in force where they fit, and deny where they err", () => {
    const sources = [{ name: "a.cedar", text }];
    expect(compiler.compile(sources).ok).toBe(false);
    const active = compiler.compileActive(sources);
    if (!active.ok) throw new Error(JSON.stringify(active.problems));
    expect(new Set(active.warnings.map(({ policyId }) => policyId))).toEqual(
      new Set(["reads-what-is-left", "reads-what-is-no-more"]),
    );
    const { engine } = active;
    expect(engine.administer(administration())).toMatchObject({ effect: "permit" });
    const name = parseResourceServerName("reports-api", "name");
    const resource = { kind: "resource_server", name, audiences: [] } as const;
    expect(engine.administer(administration({ resource }))).toMatchObject({
      effect: "deny",
      why: "evaluation_error",
    });
    expect(engine.decide(accessRequest())).toMatchObject({
      effect: "deny",
      why: "evaluation_error",
    });
  });
  test.for([
    "permit",
    `@id("a") forbid (principal in Newer::"x", action, resource);`,
    `@id("a") forbid ${ANY} when { resource is Newer };`,
    `@id("a") permit ${ANY} unless { principal in Newer::"x" };`,
    `@id("a") forbid (principal, action == Action::"newer", resource);`,
    `@id("a") forbid ${ANY} when { principal == resource };`,
  ])("that could be silently false are refused: %s", (unknown) => {
    expect(compiler.compileActive([{ name: "a", text: unknown }]).ok).toBe(false);
  });
});
