/**
 * Cedar's WebAssembly has a stack of one megabyte. A policy that nests too deeply overruns it, in
 * the parser or only when it is first evaluated, and an overrun leaves the module broken for the
 * whole process. Measured with cedar-wasm 4.13: 64 nested brackets and a tree of depth 256 pass,
 * 128 and 512 do not. So a policy is bounded before Cedar sees it, with a margin.
 */
export const LIMITS = {
  sources: 64,
  sourceBytes: 256 * 1024,
  totalBytes: 4 * 1024 * 1024,
  policies: 1_000,
  policyBytes: 32 * 1024,
  nesting: 16,
  operators: 128,
  dots: 256,
  depth: 160,
  nameLength: 200,
  descriptionLength: 500,
  problems: 100,
} as const;

/** Of one request: more is denied as invalid. */
export const REQUEST_LIMITS = {
  textLength: 4_096,
  attributes: 128,
  segments: 64,
  targets: 256,
  actors: 64,
  grantLines: 4_096,
  grantLineLength: 16_384,
  grantDepth: 32,
} as const;
