import type { ConfigVariant, FieldFacts } from "./config-field.ts";
import type { Prompts } from "./prompts.ts";

/** One thing that nobody answered. */
export interface MissingAnswer {
  readonly path: string;
  readonly description: string | null;
  /** How the command line says it. */
  readonly flag: string;
}

/** How the fields of one configuration are answered. */
export interface Answering {
  /** Null: nobody is asked. */
  readonly prompts: Prompts | null;
  /**
   * What is answered is written to a file: a secret is then named by where it is, and read by
   * whoever applies the file.
   */
  readonly forFile: boolean;
  /** The text that is at `env:NAME` or `file:PATH`; `path` says for which member. */
  readFrom(from: string, path: string): Promise<string>;
  readonly missing: MissingAnswer[];
}

type MissingKind = "value" | "secret" | "document" | "json" | "variants";

/** Notes it; what it answers is never used. */
export function answerMissing(
  { missing }: Answering,
  { description }: Pick<FieldFacts, "description">,
  path: string,
  kind: MissingKind,
  variants: readonly ConfigVariant[] = [],
): null {
  missing.push({ path, description, flag: flagOf(path, kind, variants) });
  return null;
}

function flagOf(path: string, kind: MissingKind, variants: readonly ConfigVariant[]): string {
  switch (kind) {
    case "value":
      return `--set ${path}=…`;
    case "secret":
      return `--from-env ${path}=VAR, or --set-file ${path}=FILE`;
    case "document":
      return `--set-file ${path}=FILE`;
    case "json":
      return `--set '${path}={…}'`;
    case "variants":
      return variants.map((variant) => variantFlag(path, variant)).join(", or ");
  }
}

function variantFlag(path: string, { name, field }: ConfigVariant): string {
  if (field.kind !== "object") return `--set ${path}=… (${name})`;
  const told = field.members.find(
    (member) => member.field.kind === "fixed" && member.field.value === name,
  );
  return told === undefined ? `--set '${path}={…}'` : `--set ${path}.${told.name}=${name}`;
}
