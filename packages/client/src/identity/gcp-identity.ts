import type { Surroundings } from "../surroundings.ts";
import { fetchText } from "./fetch-text.ts";
import { SourceFailure, tokenIn, type IdentitySource } from "./identity-source.ts";

/** Google's own libraries heed this variable too. */
const HOST_VARIABLE = "GCE_METADATA_HOST";
const HOST = "metadata.google.internal";
const TIMEOUT_MS = 5_000;
/** Elsewhere the name does not resolve, or nobody answers. */
const LOOK_MS = 1_000;
const HEADERS = { "metadata-flavor": "Google" };

export interface GcpIdentityOptions {
  /** Of those that the machine has. Default: `default`. */
  readonly serviceAccount?: string;
}

/** The service account's identity token, from the metadata server (Compute, Run, GKE …). */
export function gcpIdentity(options: GcpIdentityOptions = {}): IdentitySource {
  const account = encodeURIComponent(options.serviceAccount ?? "default");
  return {
    kind: "gcp",
    whyNot: async (around, signal) => {
      try {
        const { headers } = await fetchText(root(around), HEADERS, LOOK_MS, around, signal);
        return headers.get("metadata-flavor") === "Google" ? null : "no metadata server answers";
      } catch {
        return "no metadata server answers";
      }
    },
    prove: async (audience, around, signal) => {
      const query = new URLSearchParams({ audience, format: "full" }).toString();
      const path = `computeMetadata/v1/instance/service-accounts/${account}/identity?${query}`;
      const url = `${root(around)}${path}`;
      const answer = await fetchText(url, HEADERS, TIMEOUT_MS, around, signal);
      if (answer.status === 404) {
        throw new SourceFailure(`this machine has no service account "${account}"`);
      }
      if (answer.status !== 200) {
        throw new SourceFailure(`the metadata server answered ${answer.status}`);
      }
      return tokenIn(answer.text, "the metadata server's answer");
    },
  };
}

function root(around: Surroundings): string {
  const host = around.variable(HOST_VARIABLE) ?? "";
  return `http://${host === "" ? HOST : host}/`;
}
