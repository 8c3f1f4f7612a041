import { isIP } from "node:net";
import { BrokerError, Secret } from "@mayfly/spec";

/** Which process reads a variable. */
export type Reader = "broker" | "worker" | "migrate" | "cli";

/**
 * One environment variable: how it is parsed, and all that `docs/config.md` says of it.
 * `parse` throws {@link SettingProblem} with what was expected; it never repeats a secret.
 */
export interface Variable<T> {
  readonly name: `MAYFLY_${string}`;
  readonly readers: readonly Reader[];
  /** Text as it would be written in the environment, or null where there is no default. */
  readonly defaultText: string | null;
  /** A missing one without a default is an error, unless it is optional. */
  readonly optional: boolean;
  readonly secret: boolean;
  /** Whether `NAME_FILE` may name a file that holds the value. */
  readonly fileForm: boolean;
  readonly meaning: string;
  parse(text: string): T;
}

export class SettingProblem extends Error {
  override readonly name = "SettingProblem";
}

type Options = {
  readonly readers: readonly Reader[];
  readonly meaning: string;
  readonly default?: string;
  readonly optional?: boolean;
  readonly fileForm?: boolean;
};

function variable<T>(
  name: `MAYFLY_${string}`,
  options: Options & { readonly secret?: boolean },
  parse: (text: string) => T,
): Variable<T> {
  return {
    name,
    readers: options.readers,
    defaultText: options.default ?? null,
    optional: options.optional ?? false,
    secret: options.secret ?? false,
    fileForm: options.fileForm ?? options.secret ?? false,
    meaning: options.meaning,
    parse,
  };
}

export const text = (name: `MAYFLY_${string}`, options: Options): Variable<string> =>
  variable(name, options, (value) => value);

export const secretText = (name: `MAYFLY_${string}`, options: Options): Variable<Secret> =>
  variable(name, { ...options, secret: true }, (value) => Secret.of(value));

/** A decimal number within bounds, fractions included where `step` is not 1. */
export function number(
  name: `MAYFLY_${string}`,
  options: Options & { readonly min: number; readonly max: number; readonly whole?: boolean },
): Variable<number> {
  return variable(name, options, (value) => {
    const parsed = /^\d{1,9}(?:\.\d{1,6})?$/.test(value) ? Number(value) : Number.NaN;
    const fits = parsed >= options.min && parsed <= options.max;
    if (!fits || (options.whole === true && !Number.isInteger(parsed))) {
      const kind = options.whole === true ? "a whole number" : "a number";
      throw new SettingProblem(`expected ${kind} from ${options.min} to ${options.max}`);
    }
    return parsed;
  });
}

export function oneOf<const T extends readonly string[]>(
  name: `MAYFLY_${string}`,
  values: T,
  options: Options,
): Variable<T[number]> {
  return variable(name, options, (value) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw new SettingProblem(`expected one of ${values.join(", ")}`);
    return found;
  });
}

export const flag = (name: `MAYFLY_${string}`, options: Options): Variable<boolean> =>
  variable(name, { default: "false", ...options }, (value) => {
    if (value !== "true" && value !== "false") throw new SettingProblem("expected true or false");
    return value === "true";
  });

/** An absolute http(s) URL without query or fragment and without a trailing slash. */
export const httpUrl = (name: `MAYFLY_${string}`, options: Options): Variable<string> =>
  variable(name, options, (value) => {
    const url = URL.canParse(value) ? new URL(value) : null;
    const plain = url !== null && url.search === "" && url.hash === "" && url.username === "";
    if (!plain || !/^https?:$/.test(url.protocol) || value.endsWith("/")) {
      throw new SettingProblem(
        "expected an http or https URL without query, fragment, user or trailing slash",
      );
    }
    return value;
  });

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}
export const listenAddress = (
  name: `MAYFLY_${string}`,
  options: Options,
): Variable<ListenAddress> =>
  variable(name, options, (value) => {
    const match = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(value);
    const port = Number(match?.[2]);
    if (match?.[1] === undefined || port > 65_535) {
      throw new SettingProblem("expected host:port, such as 127.0.0.1:8420");
    }
    return { host: match[1].replace(/^\[|\]$/g, ""), port };
  });

/** Address ranges, as `10.0.0.0/8,fd00::/8`; a single address is a range of its own. */
export const addressRanges = (
  name: `MAYFLY_${string}`,
  options: Options,
): Variable<readonly AddressRange[]> =>
  variable(name, options, (value) =>
    (value === "none" ? "" : value)
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .map(addressRange),
  );

export interface AddressRange {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly prefix: number;
}

function addressRange(text: string): AddressRange {
  const [address = "", prefixText, ...rest] = text.split("/");
  const version = isIP(address);
  const bits = version === 6 ? 128 : 32;
  const prefix =
    prefixText === undefined ? bits : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : -1;
  if (version === 0 || rest.length > 0 || prefix < 0 || prefix > bits) {
    throw new SettingProblem("expected address ranges, such as 10.0.0.0/8,fd00::/8");
  }
  return { address, family: version === 6 ? "ipv6" : "ipv4", prefix };
}

export const configInvalid = (message: string): BrokerError =>
  new BrokerError("config_invalid", message);
