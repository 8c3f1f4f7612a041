import { issueBySigning, orNothingSigned } from "@mayfly/backend-kit";
import {
  instantMs,
  Secret,
  type AuthorityKey,
  type IssueContext,
  type IssuePlan,
  type Issued,
} from "@mayfly/spec";
import { writeHandle } from "./certificate-handle.ts";
import { generatedKey } from "./generated-key.ts";
import { publicKeyOf } from "./host-settings.ts";
import type { Lane } from "./lane.ts";
import { grantOf, type SshGrant } from "./role-settings.ts";
import { userCertificate } from "./user-certificate.ts";

const WHAT = "SSH, issue";

/** No host is asked. */
export const issueCertificate = (
  lane: Lane,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> => issueBySigning(WHAT, context, () => make(lane, plan, context));

async function make(lane: Lane, plan: IssuePlan, context: IssueContext): Promise<Issued> {
  const grant = grantOf(plan);
  const until = Math.floor(plan.expiresAt / 1000);
  const own = keyFor(grant);
  const parsed = publicKeyOf(own.publicKey);
  if (parsed === null) throw new Error("a planned key cannot be read");
  await lane.refuseCrowded();
  const certificate = await orNothingSigned(WHAT, "key of the authority", async () =>
    userCertificate(await signingKey(lane), {
      leaseId: plan.leaseId,
      keyId: plan.externalName,
      grant,
      publicKey: { type: parsed.type, blob: parsed.getPublicSSH() },
      nonce: lane.host.random.bytes(32),
      from: Math.floor(context.clock.now() / 1000) - lane.settings.leeway_seconds,
      until,
    }),
  );
  return {
    material: {
      certificate: Secret.of(certificate),
      ...(own.privateKey === null ? {} : { private_key: own.privateKey }),
      principals: grant.principals,
      key_id: plan.externalName,
    },
    // Public, and yet what a leak would show first.
    fingerprintOf: "certificate",
    expiresAt: instantMs(until * 1000),
    handle: writeHandle({ name: plan.externalName, exp: until, certificate }),
  };
}

/** The workload's own key, or one made for it. */
function keyFor({ public_key: own }: SshGrant): {
  readonly publicKey: string;
  readonly privateKey: Secret | null;
} {
  if (own !== null) return { publicKey: own, privateKey: null };
  const made = generatedKey();
  return { publicKey: made.public, privateKey: Secret.of(made.private) };
}

/** The newest key that signs. The timer makes the first one; whoever is faster makes it here. */
async function signingKey({ host, source }: Lane): Promise<AuthorityKey> {
  const newest = async (): Promise<AuthorityKey | undefined> =>
    (await source.keys()).findLast(({ signsFromAt }) => signsFromAt <= host.clock.now());
  const known = await newest();
  if (known !== undefined) return known;
  await source.rotate(host.clock.now());
  const made = await newest();
  if (made !== undefined) return made;
  throw new Error("there is no key that signs");
}
