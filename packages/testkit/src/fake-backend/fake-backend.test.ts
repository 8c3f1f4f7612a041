import { durationSeconds, type BackendCapabilities } from "@mayfly/spec";
import { describeBackendContract, fakeBackendSubject } from "../contract/index.ts";
import { createFakeClock } from "../fake-clock.ts";
import { createFakeBackend } from "./fake-backend.ts";
import { FakeUpstream, type FakeUpstreamOptions } from "./fake-upstream.ts";

function describeFake(
  name: string,
  capabilities: Partial<BackendCapabilities>,
  options: Partial<FakeUpstreamOptions> = {},
  hasTwoSteps = false,
): void {
  const clock = createFakeClock();
  const upstream = new FakeUpstream({ clock, ...options });
  const backend = createFakeBackend({ upstream, capabilities, hasTwoSteps });
  describeBackendContract(fakeBackendSubject({ name, backend, upstream, clock }));
}

describeFake("fake, immediate", {});
describeFake(
  "fake, propagating",
  { revocation: "propagating", expiryEnforcedBy: "broker" },
  { propagationSeconds: 90, refusesExpired: false },
);
describeFake("fake, no revocation", { revocation: "none", canRenew: false, canList: false });
describeFake(
  "fake, login only, no deadline upstream, short",
  {
    expiryEnforcedBy: "login_only",
    canList: false,
    ttlSecondsMax: durationSeconds(600),
  },
  { testsDeadline: false },
);
describeFake("fake, upserts", { lateMint: "looked_for" }, { upserts: true, testsDeadline: false });
describeFake("fake, of two steps", {}, {}, true);
