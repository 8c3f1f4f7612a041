import type { Command } from "commander";
import type { JsonObject } from "@mayfly/spec";
import {
  readAnswer,
  resultAnswer,
  trustPreviewAnswer,
  type TrustPreviewAnswer,
} from "../api/answers.ts";
import { usageError } from "../cli-error.ts";
import { factLines } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";

interface AddOptions {
  readonly preset?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly trustDomain?: string;
  readonly attribute: readonly string[];
  readonly unsafeAllowPrivateAddresses?: true;
  readonly yes?: true;
}

/** `trust add`: one OIDC issuer, looked at and shown before it is registered. */
export function trustAddCommand(trust: Command, open: (command: Command) => Session): void {
  trust
    .command("add")
    .description("add an OIDC issuer: fetch its keys, show what policies may ask, register it")
    .argument("<trust>", "name for the trust root")
    .option("--preset <preset>", "what is particular to a vendor, docs/identity-presets.md")
    .option("--issuer <url>", "exactly as its tokens have it in iss")
    .option("--audience <text>", "whom its tokens are addressed to, if not the broker's issuer")
    .option("--trust-domain <name>", "of the SPIFFE IDs that it vouches for (spire_oidc)")
    .option(
      "--attribute <name=claim>",
      "an attribute of your own, mutable unless it ends in :immutable; may be repeated",
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option("--unsafe-allow-private-addresses", "permit http and private addresses for its keys")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        "mayfly trust add realm --preset keycloak --issuer https://login.acme.test/realms/pay",
      ),
    )
    .action(async (name: string, options: AddOptions, command: Command) => {
      await add(open(command), name, options);
    });
}

async function add(session: Session, name: string, options: AddOptions): Promise<void> {
  const path = `/v1/trust/${encodeURIComponent(name)}`;
  const body = { kind: "oidc", config: configOf(options) };
  const api = session.api();
  const answer = await api.send("POST", `${path}/preview`, body);
  const preview = readAnswer(trustPreviewAnswer, answer);
  if (!session.json) showPreview(session, preview);
  if (preview.look.problem !== null) {
    session.found();
    if (session.json) session.record({ result: "refused", name, preview: answer });
    else session.note(`not registered  trust ${name}`);
    return;
  }
  const { issuer, audience } = preview;
  await session.confirm(
    [`registers trust ${name}: tokens of ${issuer} that are addressed to ${audience} are believed`],
    options.yes === true,
  );
  const registered = await api.send("PUT", path, body, { "if-none-match": "*" });
  const { result } = readAnswer(resultAnswer, registered);
  if (session.json) session.record({ result, name, preview: answer });
  else session.note(`${result}  trust ${name}`);
}

function configOf(options: AddOptions): JsonObject {
  const { preset, issuer, audience, trustDomain, attribute } = options;
  if (preset === undefined && issuer === undefined) {
    throw usageError("Neither a preset nor an issuer is given.", "Give --preset or --issuer.");
  }
  const attributes = Object.fromEntries(attribute.map(attributeOf));
  return {
    ...(preset === undefined ? {} : { preset }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
    ...(trustDomain === undefined ? {} : { trust_domain: trustDomain }),
    ...(attribute.length === 0 ? {} : { attributes }),
    ...(options.unsafeAllowPrivateAddresses === true
      ? { unsafe_allow_private_addresses: true }
      : {}),
  };
}

function attributeOf(text: string): readonly [string, JsonObject] {
  const [, name, claim, immutable] = /^([^=]+)=(.+?)(:immutable)?$/.exec(text) ?? [];
  if (name === undefined || claim === undefined) {
    throw usageError("That is no attribute.", "Give it as name=claim.", text);
  }
  return [name, { claim, stability: immutable === undefined ? "mutable" : "immutable" }];
}

function showPreview(session: Session, preview: TrustPreviewAnswer): void {
  const { paint } = session;
  const { look, attributes, requirements, traps } = preview;
  const keys = look.keys.map(({ kid, algorithms }) => `${kid ?? "-"} (${algorithms.join(", ")})`);
  session.detail(
    factLines(
      [
        ["issuer", preview.issuer],
        ["addressed to", preview.audience],
        ["counts", preview.once ? "each token once" : "until it expires"],
        ["required", requirements.length === 0 ? null : requirements.join("; ")],
        ["keys from", look.source],
        ["keys", keys.length === 0 ? "none" : keys.join(", ")],
      ],
      paint,
    ),
  );
  if (look.problem !== null) session.detail(`${paint.red("✗")} ${look.problem}\n`);
  else session.detail(`${paint.green("✓")} its tokens can be verified\n`);
  if (attributes.length > 0) {
    const columns = [
      { title: "A POLICY MAY ASK FOR", cell: (each: Attribute) => each.tag },
      { title: "CLAIM", cell: (each: Attribute) => each.claim },
      {
        title: "",
        cell: (each: Attribute) => `${each.stability}${each.optional ? ", may be absent" : ""}`,
      },
    ];
    session.detail(`\n${table(columns, attributes, paint)}`);
  }
  session.detail(`\n${paint.dim("a policy, to be filled in")}\n${preview.policy}\n`);
  if (traps.length > 0) session.detail(`\n${traps.map((trap) => `! ${trap}\n`).join("")}`);
}

type Attribute = TrustPreviewAnswer["attributes"][number];
