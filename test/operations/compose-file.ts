import { readFile } from "node:fs/promises";
import { parse } from "yaml";

export interface ComposeService {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly deploy?: { readonly replicas?: number };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
}
export interface ComposeFile {
  readonly name: string;
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const COMPOSE_FOLDER = new URL("../../infra/compose/", import.meta.url);

/** `compose.yaml` as it stands, merge keys resolved, variables not. */
export async function readCompose(): Promise<ComposeFile> {
  const text = await readFile(new URL("compose.yaml", COMPOSE_FOLDER), "utf8");
  const file: unknown = parse(text, { merge: true });
  // The schema's test looks at its shape.
  return file as ComposeFile;
}

/** `${NAME}`, `${NAME:-default}` and `${NAME:?why}` by `env.example`, as compose does. */
export async function interpolate(text: string): Promise<string> {
  const example = await readFile(new URL("env.example", COMPOSE_FOLDER), "utf8");
  const values = new Map(
    example
      .split("\n")
      .filter((line) => /^[A-Z_]+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return text.replaceAll(/\$\{([A-Z_]+)(?::([-?])([^}]*))?\}/g, (_, name, kind, rest) => {
    const value = values.get(String(name)) ?? (kind === "-" ? String(rest) : undefined);
    if (value === undefined) throw new Error(`env.example has no ${String(name)}`);
    return value;
  });
}
