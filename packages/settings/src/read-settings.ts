import { configInvalid, SettingProblem, type Reader, type Variable } from "./variable.ts";

export type Environment = Readonly<Record<string, string | undefined>>;
type Variables = Readonly<Record<string, Variable<unknown>>>;
type ValueOf<V> = V extends Variable<infer T> ? T : never;

/** The values of `variables`; an optional one that is not set is null. */
export type Settings<V extends Variables> = { readonly [K in keyof V]: ValueOf<V[K]> };

/**
 * Reads the variables of one process from `environment`.
 *
 * All problems are reported at once, each with the variable's name and what was expected. A
 * `MAYFLY_` variable that no process knows is refused by name: a misspelt setting is an outage
 * later. `NAME_FILE` may stand for a secret `NAME`: its content is read by `readFile`.
 */
export function readSettings<V extends Variables>(
  variables: V,
  known: ReadonlySet<string>,
  reader: Reader,
  environment: Environment,
  readFile: (path: string) => string,
): Settings<V> {
  const problems: string[] = unknownVariables(known, environment);
  const values: Record<string, unknown> = {};
  for (const [key, variable] of Object.entries(variables)) {
    if (!variable.readers.includes(reader)) continue;
    try {
      values[key] = valueOf(variable, environment, readFile);
    } catch (error) {
      if (!(error instanceof SettingProblem)) throw error;
      problems.push(`${variable.name}: ${error.message}`);
    }
  }
  if (problems.length > 0) {
    throw configInvalid(`The configuration is not usable.\n${problems.join("\n")}`);
  }
  return values as Settings<V>;
}

function unknownVariables(known: ReadonlySet<string>, environment: Environment): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith("MAYFLY_") && !known.has(name))
    .toSorted()
    .map((name) => `${name}: there is no such variable; docs/config.md lists all`);
}

function valueOf(
  variable: Variable<unknown>,
  environment: Environment,
  readFile: (path: string) => string,
): unknown {
  const direct = environment[variable.name];
  const file = variable.fileForm ? environment[`${variable.name}_FILE`] : undefined;
  if (direct !== undefined && file !== undefined) {
    throw new SettingProblem(`set it or ${variable.name}_FILE, not both`);
  }
  const given = file === undefined ? direct : contentOf(file, readFile);
  const text = given ?? variable.defaultText;
  if (text === null || text === "") {
    if (variable.optional) return null;
    throw new SettingProblem("it is required and not set");
  }
  return variable.parse(text);
}

function contentOf(path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path).trim();
  } catch {
    throw new SettingProblem("its _FILE form names a file that cannot be read");
  }
}
