import type { FailPoints } from "@mayfly/spec";

/** What production runs with: reaching a point does nothing. */
export const inertFailPoints: FailPoints = { reached: () => Promise.resolve() };
