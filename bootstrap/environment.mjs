import { delimiter } from "node:path";

/**
 * What a nested package manager may inherit of npm's own variables: how to reach the registry.
 * All else that npm sets for a script (prefix, cache, omit, lifecycle names) is about npm's run and
 * makes a nested install go to the wrong folder or leave packages out.
 */
const REACHING_THE_REGISTRY =
  /^npm_config_(registry|proxy|https_proxy|http_proxy|noproxy|no_proxy|cafile|ca|strict_ssl|userconfig|.*:_auth.*)$/i;

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv} without npm's variables, but for those that reach the registry
 */
export function withoutNpm(env) {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^npm_/i.test(name) || REACHING_THE_REGISTRY.test(name),
    ),
  );
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} folders put before all that is there
 * @returns {NodeJS.ProcessEnv}
 */
export function withPath(env, folders) {
  return { ...env, PATH: [...folders, env["PATH"] ?? ""].filter(Boolean).join(delimiter) };
}
