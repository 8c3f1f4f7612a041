import type { BackendKeys } from "@mayfly/spec";

const refuse = (): Promise<never> =>
  Promise.reject(new Error("this world's backends sign nothing"));

/** For worlds whose backends sign nothing themselves. */
export const noBackendKeys: BackendKeys = {
  sign: refuse,
  verify: refuse,
  verifyForEnd: refuse,
  published: async () => [],
  authorities: refuse,
  rotate: refuse,
};
