import type { BackendKeys } from "@mayfly/spec";

const refuse = (): Promise<never> =>
  Promise.reject(new Error("this world's backends sign nothing"));

/** For worlds whose backends sign nothing themselves. */
export const noBackendKeys: BackendKeys = {
  sign: refuse,
  verify: refuse,
  claimsIn: () => null,
  published: async () => [],
  authorities: refuse,
  rotate: refuse,
};
