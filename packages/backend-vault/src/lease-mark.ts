import { readLeaseName } from "@mayfly/backend-kit";
import { Secret, type BackendHost } from "@mayfly/spec";
import { z } from "zod";

/**
 * A lease is a token role of the server: `mf_<installation>_<lease>-<tag>`, the tag keyed over what
 * stands before it. Tokens that are made by it have its name in the path of their lease, so that
 * they are found without a list of all tokens there are.
 */
export const roleNameOf = (externalName: string, host: BackendHost): string =>
  `${externalName}-${host.tag(textOf(externalName))}`;

const textOf = (externalName: string): string =>
  JSON.stringify(["mayfly", 1, "lease", externalName]);

const ROLE_NAME = /^(mf_[a-z2-7]{8}_[0-9a-f]{32})-([0-9a-f]{64})$/;

/** Null for a name of any other form. */
export function readRoleName(
  name: string,
  host: BackendHost,
): { readonly externalName: string; readonly isOurs: boolean } | null {
  const [, externalName, tag] = ROLE_NAME.exec(name) ?? [];
  if (externalName === undefined || tag === undefined) return null;
  const read = readLeaseName(externalName);
  if (read === null) return null;
  const isOurs =
    read.installation === host.installation && host.verifyTag(textOf(externalName), tag);
  return { externalName, isOurs };
}

/**
 * What a token role is for, in its `path_suffix`, which goes into the path of its tokens' leases.
 * Of an engine's lease it has the path, so that what a lost answer left is looked for there.
 * `at` is our clock, in ms.
 */
export type Mark =
  | { readonly kind: "token" }
  | { readonly kind: "dynamic"; readonly path: string }
  /** `until`: when what may have been made is certainly dead, in ms. */
  | { readonly kind: "unleased"; readonly path: string; readonly until: number }
  | { readonly kind: "tombstone"; readonly at: number };

export function writeSuffix(mark: Mark): string {
  switch (mark.kind) {
    case "token":
      return "token";
    case "tombstone":
      return `tombstone-${mark.at}`;
    case "dynamic":
      return `dynamic-${hexOf(mark.path)}`;
    case "unleased":
      return `unleased-${mark.until}-${hexOf(mark.path)}`;
  }
}

/** A suffix is letters, digits, - and _ alone. */
const hexOf = (path: string): string => Buffer.from(path, "utf8").toString("hex");

const SUFFIX =
  /^(?:(token)|tombstone-(?<at>\d{1,15})|(?:dynamic|unleased-(?<until>\d{1,15}))-(?<path>[0-9a-f]{2,400}))$/;

/** Null for a suffix that is none of ours. */
export function readSuffix(suffix: string): Mark | null {
  const found = SUFFIX.exec(suffix);
  if (found === null) return null;
  const { at, until, path: hex } = found.groups ?? {};
  if (at !== undefined) return { kind: "tombstone", at: Number(at) };
  if (hex === undefined) return { kind: "token" };
  const path = Buffer.from(hex, "hex").toString("utf8");
  return until === undefined
    ? { kind: "dynamic", path }
    : { kind: "unleased", path, until: Number(until) };
}

const handle = z.strictObject({
  v: z.literal(1),
  name: z.string().refine((name) => readLeaseName(name) !== null),
  /** Of the token that was made for the lease. */
  accessor: z.string().min(1).optional(),
  lease_id: z.string().min(1).optional(),
  /** Only in a checkpoint: the token that reads the wrapped answer, once. */
  wrapping: z.string().min(1).optional(),
  /** Of a credential without lease. */
  unleased: z
    .strictObject({
      not_later_than: z.number(),
      serial: z.string().min(1).optional(),
      revoke_path: z.string().min(1).optional(),
    })
    .optional(),
});
export type LeaseHandle = Readonly<Omit<z.infer<typeof handle>, "v">>;

export const writeHandle = (what: LeaseHandle): Secret =>
  Secret.of(JSON.stringify({ v: 1, ...what }));

export function readHandle(text: Secret): LeaseHandle {
  const parsed = handle.safeParse(JSON.parse(text.expose("upstream")));
  if (!parsed.success) throw new TypeError("not a handle of this type of backend");
  const { v: _, ...what } = parsed.data;
  return what;
}
