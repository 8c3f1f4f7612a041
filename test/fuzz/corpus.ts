import fc from "fast-check";
import { arbitraryOf } from "@mayfly/broker/testing";
import type { Json, JsonObject } from "@mayfly/spec";
import type { Draw } from "../simulation/draw.ts";
import type { ApiDocument, ApiOperation } from "./api-document.ts";

/** What the document's own schemas allow, and what is one change away: to be mutated further. */
export interface Corpus {
  /** Null where the operation takes no body. */
  body(operation: ApiOperation, draw: Draw): Json;
  parameter(operation: ApiOperation, name: string, draw: Draw): string;
}

/** Complete bodies by `PUT /v1/roles/{backend}/{shape}`: what a schema cannot know. */
export type Examples = ReadonlyMap<string, readonly Json[]>;

const BODIES = 60;
const PARAMETERS = 12;

export function createCorpus(api: ApiDocument, examples: Examples, seed: number): Corpus {
  const made = new Map<ApiOperation, Samples>();
  const samplesOf = (operation: ApiOperation): Samples => {
    const known = made.get(operation) ?? samples(operation, api.schemas, examples, seed);
    made.set(operation, known);
    return known;
  };
  return {
    body: (operation, draw) => drawn(samplesOf(operation).bodies, draw),
    parameter: (operation, name, draw) => {
      const value = drawn(samplesOf(operation).parameters.get(name) ?? [], draw);
      return typeof value === "string" ? value : JSON.stringify(value);
    },
  };
}

const drawn = (values: readonly Json[], draw: Draw): Json =>
  values[draw.whole(0, Math.max(0, values.length - 1))] ?? null;

interface Samples {
  readonly bodies: readonly Json[];
  readonly parameters: ReadonlyMap<string, readonly Json[]>;
}

function samples(
  operation: ApiOperation,
  schemas: JsonObject,
  examples: Examples,
  seed: number,
): Samples {
  const sample = (schema: JsonObject, numRuns: number): readonly Json[] =>
    fc.sample(arbitraryOf(schema, schemas), { seed, numRuns });
  const known = examples.get(`${operation.method} ${operation.path}`) ?? [];
  const bodies = operation.body === null ? [] : sample(operation.body.schema, BODIES);
  return {
    // As many examples as samples: else they would hardly ever be drawn.
    bodies: [...bodies, ...bodies.flatMap((_, n) => known[n % known.length] ?? [])],
    parameters: new Map(
      operation.parameters.map(({ name, schema }) => [name, sample(schema, PARAMETERS)]),
    ),
  };
}
