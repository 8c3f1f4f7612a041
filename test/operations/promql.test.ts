import { readdir, readFile } from "node:fs/promises";
import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createMetrics, METRICS } from "@mayfly/telemetry";

const ROOT = new URL("../../", import.meta.url);
/** What Prometheus itself puts on every series, and the one that it makes. */
const SCRAPED = ["job", "instance"];
const UP = "up";

interface Series {
  readonly name: string;
  readonly labels: readonly string[];
}

/** Every series that a process may show: ours as declared, Node's as the library registers them. */
async function registered(): Promise<ReadonlyMap<string, readonly string[]>> {
  const known = new Map<string, readonly string[]>([[UP, []]]);
  for (const { kind, name, labels } of METRICS) {
    if (kind !== "histogram") known.set(name, labels);
    else {
      known.set(`${name}_bucket`, [...labels, "le"]);
      known.set(`${name}_sum`, labels);
      known.set(`${name}_count`, labels);
    }
  }
  for (const line of (await createMetrics().text()).split("\n")) {
    const [, name = ""] = /^((?:process|nodejs)_\w+)/.exec(line) ?? [];
    if (name !== "") known.set(name, []);
  }
  return known;
}

/** The series of an expression, each with all labels that it is matched or grouped by. */
function seriesOf(expression: string): readonly Series[] {
  // Grafana's own, which it replaces before Prometheus sees them.
  const query = expression.replaceAll("$__rate_interval", "5m").replaceAll("$backend", "x");
  const names: string[] = [];
  const labels: string[] = [];
  parser.parse(query).iterate({
    enter: (node) => {
      const text = query.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`);
      if (node.name === "Identifier" && node.node.parent?.name === "VectorSelector") {
        names.push(text);
      }
      if (node.name === "LabelName") labels.push(text);
    },
  });
  return names.map((name) => ({ name, labels }));
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

async function rules(): Promise<readonly Rule[]> {
  const folder = new URL("infra/prometheus/", ROOT);
  const files = (await readdir(folder)).filter((name) => name.endsWith(".rules.yaml"));
  const read = await Promise.all(files.map((name) => readFile(new URL(name, folder), "utf8")));
  return read.flatMap((text) => {
    const file = parse(text) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
    return file.groups.flatMap((group) => group.rules);
  });
}

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

async function panels(): Promise<readonly Panel[]> {
  const folder = new URL("infra/grafana/", ROOT);
  const read = await Promise.all(
    (await readdir(folder)).map((name) => readFile(new URL(name, folder), "utf8")),
  );
  return read.flatMap((text) => (JSON.parse(text) as { readonly panels: readonly Panel[] }).panels);
}

describe("dashboards and alerts", () => {
  test("name only series and labels that the code registers", async () => {
    const known = await registered();
    const expressions = [
      ...(await rules()).map(({ alert, expr }) => ({ where: alert, expr })),
      ...(await panels()).flatMap(({ title, targets }) =>
        targets.map(({ expr }) => ({ where: title, expr })),
      ),
    ];
    expect(expressions.length).toBeGreaterThan(60);
    for (const { where, expr } of expressions) {
      const series = seriesOf(expr);
      expect(series.length, where).toBeGreaterThan(0);
      for (const { name } of series) expect(known.has(name), `${where}: ${name}`).toBe(true);
      // An expression of two series may group by a label of one of them.
      const labels = new Set(series.flatMap(({ name }) => known.get(name) ?? []));
      for (const label of series.flatMap((each) => each.labels)) {
        expect(labels.has(label) || SCRAPED.includes(label), `${where}: ${label}`).toBe(true);
      }
    }
  });

  test("a misspelt metric, a label that is not there and a broken expression are found", async () => {
    const known = await registered();
    expect(seriesOf("max(mayfly_leases_overdu)").every(({ name }) => known.has(name))).toBe(false);
    expect(seriesOf('mayfly_leases{workload="x"}')[0]?.labels).toEqual(["workload"]);
    expect(known.get("mayfly_leases")).not.toContain("workload");
    expect(() => seriesOf("sum(rate(mayfly_strays_total[5m])")).toThrow("not PromQL");
  });

  test("every metric of ours is on a dashboard or in an alert", async () => {
    const used = new Set(
      [...(await rules()), ...(await panels()).flatMap(({ targets }) => targets)].flatMap(
        ({ expr }) => seriesOf(expr).map(({ name }) => name.replace(/_(?:bucket|sum|count)$/, "")),
      ),
    );
    expect(METRICS.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([]);
  });

  test("each alert says what to do, on a page that is there", async () => {
    const pages = await readdir(new URL("docs/runbooks/", ROOT));
    const all = await rules();
    expect(new Set(all.map(({ alert }) => alert)).size).toBe(all.length);
    for (const { alert, annotations } of all) {
      expect(Object.keys(annotations), alert).toEqual(["summary", "description", "runbook_url"]);
      const [, page = ""] =
        /\/docs\/runbooks\/([a-z-]+\.md)$/.exec(annotations["runbook_url"] ?? "") ?? [];
      expect(pages, alert).toContain(page);
    }
  });
});
