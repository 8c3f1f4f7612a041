import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { staticBackend } from "./index.ts";
import { startKeyedApi } from "./testing/keyed-api.ts";

const SECRET = "canary-of-a-standing-secret";
const role = { hands_out_a_secret_that_cannot_be_revoked: true };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      { secret: SECRET, secret_name: "api_key", public: { host: "api.test", port: 443, eu: true } },
      { secret: SECRET },
    ],
    bad: [
      { input: {}, names: "config.secret" },
      { input: { secret: "" }, names: "config.secret" },
      { input: { secret: "x".repeat(16_385) }, names: "config.secret" },
      { input: { secret: SECRET, secret_name: "API key" }, names: "config.secret_name" },
      { input: { secret: SECRET, public: { Host: "a" } }, names: "config.public" },
      { input: { secret: SECRET, public: { host: ["a"] } }, names: "config.public.host" },
      { input: { secret: SECRET, public: { secret: "another" } }, names: "config.public" },
      {
        input: {
          secret: SECRET,
          public: Object.fromEntries(Array.from({ length: 17 }, (_, nth) => [`m${nth}`, nth])),
        },
        names: "config.public",
      },
    ],
    secrets: [SECRET],
  },
  role: {
    valid: [role],
    bad: [
      { input: {}, names: "role.hands_out_a_secret_that_cannot_be_revoked" },
      {
        input: { hands_out_a_secret_that_cannot_be_revoked: false },
        names: "role.hands_out_a_secret_that_cannot_be_revoked",
      },
      {
        input: { hands_out_a_secret_that_cannot_be_revoked: "true" },
        names: "role.hands_out_a_secret_that_cannot_be_revoked",
      },
    ],
  },
  params: { valid: [{}], bad: [] },
  narrowing: { role, wide: {}, narrow: {}, tooWide: [] },
};

describeBackendContract({
  name: "static",
  backend: staticBackend,
  inputs,
  // Nobody is asked, so nobody can be away.
  unreachableConfig: null,
  protocol: null,
  start: () => startKeyedApi(SECRET),
});
