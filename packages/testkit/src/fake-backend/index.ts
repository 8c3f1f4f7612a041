export { createFakeBackend, type FakeBackendOptions } from "./fake-backend.ts";
export {
  FakeUpstream,
  NameTaken,
  PastDeadline,
  type CreateRequest,
  type FakeCredential,
  type FakeFault,
  type FakeOperation,
  type FakeUpstreamOptions,
} from "./fake-upstream.ts";
