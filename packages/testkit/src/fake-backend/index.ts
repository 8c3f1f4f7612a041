export { createFakeBackend, type FakeBackendOptions } from "./fake-backend.ts";
export {
  FakeUpstream,
  type FakeCredential,
  type FakeFault,
  type FakeOperation,
  type FakeUpstreamOptions,
} from "./fake-upstream.ts";
