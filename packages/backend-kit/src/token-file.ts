import { z } from "zod";

/**
 * Where platforms put a workload's own tokens, and one folder for an operator who has others. Of
 * what else lies below `/var/run/secrets` the broker's own sealing keys may be a part.
 */
const FOLDERS = [
  "/var/run/secrets/kubernetes.io/serviceaccount",
  "/var/run/secrets/eks.amazonaws.com/serviceaccount",
  "/var/run/secrets/mayfly-backends",
];
const NAME = /^[\w-][\w.-]{0,99}$/;

const isTokenFile = (path: string): boolean => {
  const at = path.lastIndexOf("/");
  return FOLDERS.includes(path.slice(0, at)) && NAME.test(path.slice(at + 1));
};

/**
 * A file whose content a backend sends to its upstream. Who registers backends names it, and the
 * upstream too: any other file of the broker's would be theirs to read.
 */
export const tokenFile = (): z.ZodString =>
  z
    .string()
    .max(200)
    .refine(isTokenFile, { message: `expected a file directly in ${FOLDERS.join(" or ")}` });
