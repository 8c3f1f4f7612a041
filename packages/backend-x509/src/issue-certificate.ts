import { createPublicKey, generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { issueBySigning, orNothingSigned } from "@mayfly/backend-kit";
import {
  BackendError,
  instantMs,
  plusSeconds,
  Secret,
  type AuthorityKey,
  type IssueContext,
  type IssuePlan,
  type Issued,
} from "@mayfly/spec";
import { writeHandle } from "./certificate-handle.ts";
import {
  authorityCertificate,
  authorityExpiresAt,
  authorityId,
  authorityOf,
  wholeSeconds,
  type CertificateAuthority,
} from "./certificate-authority.ts";
import { nameBeyond } from "./certified-names.ts";
import { clientCertificate } from "./client-certificate.ts";
import { pem } from "./extensions.ts";
import type { Lane } from "./lane.ts";
import { listName } from "./publish-authority.ts";
import { serialText } from "./revocation-list.ts";
import { grantOf, type CertificateGrant } from "./role-settings.ts";

const WHAT = "X.509, issue";

export const issueCertificate = (
  lane: Lane,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> =>
  issueBySigning(WHAT, context, async () => {
    const grant = grantOf(plan);
    requireDomains(lane, grant);
    return make(lane, plan, grant, context);
  });

/** The configuration may have changed since the role was registered. */
function requireDomains({ settings }: Lane, grant: CertificateGrant): void {
  const beyond = nameBeyond(grant, settings.domains);
  if (beyond === undefined) return;
  throw new BackendError(`${WHAT}: "${beyond}" lies in none of the backend's domains`, {
    effect: "none",
    retry: { kind: "never" },
  });
}

async function make(
  lane: Lane,
  plan: IssuePlan,
  grant: CertificateGrant,
  context: IssueContext,
): Promise<Issued> {
  const { settings, host } = lane;
  const { crl_seconds: crl, leeway_seconds: leeway, connection_seconds_max: connection } = settings;
  const expiresAt = instantMs(wholeSeconds(plan.expiresAt));
  const subject = await keyFor(grant);
  await lane.refuseCrowded();
  const { certificate, chain } = await orNothingSigned(WHAT, "key of the authority", async () => {
    const authority = await signingAuthority({ settings, host });
    if (authorityExpiresAt(authority) < expiresAt)
      throw new Error("the authority's key is too old");
    const der = await clientCertificate(authority, {
      leaseId: plan.leaseId,
      grant,
      publicKey: subject.publicKey,
      from: plusSeconds(context.clock.now(), -leeway),
      until: expiresAt,
      listUrl: `${host.tokens.issuer}/authority/${listName(authorityId(authority))}`,
    });
    return { certificate: der, chain: await authorityCertificate(authority, settings.domains) };
  });
  return {
    material: {
      certificate: Secret.of(pem("CERTIFICATE", certificate)),
      ...(subject.privateKey === null ? {} : { private_key: subject.privateKey }),
      authority: pem("CERTIFICATE", chain),
      serial_number: serialText(plan.leaseId),
    },
    // Public, and yet what a leak would show first.
    fingerprintOf: "certificate",
    expiresAt,
    handle: writeHandle({
      name: plan.externalName,
      exp: expiresAt / 1000,
      crl,
      leeway,
      connection,
    }),
  };
}

/** The workload's own key, or one made for it: P-256, which every TLS library has. */
async function keyFor({ public_key: own }: CertificateGrant): Promise<{
  readonly publicKey: Uint8Array;
  readonly privateKey: Secret | null;
}> {
  if (own !== null) return { publicKey: Buffer.from(own, "base64"), privateKey: null };
  const { privateKey } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  return {
    publicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }),
    privateKey: Secret.of(privateKey.export({ format: "pem", type: "pkcs8" }).toString()),
  };
}

/** The newest key that signs. The timer makes the first one; whoever is faster makes it here. */
async function signingAuthority({
  settings,
  host,
}: Pick<Lane, "settings" | "host">): Promise<CertificateAuthority> {
  const { keys } = host.tokens;
  const newest = async (): Promise<AuthorityKey | undefined> =>
    (await keys.authorities()).findLast(({ signsFromAt }) => signsFromAt <= host.clock.now());
  const known = await newest();
  if (known !== undefined) return authorityOf(host, known);
  await keys.rotate(settings.algorithm, host.clock.now());
  const made = await newest();
  if (made !== undefined) return authorityOf(host, made);
  throw new Error("there is no key that signs");
}
