export * from "./administration-request.ts";
export { arbitraryImpersonation, impersonation } from "./impersonation-request.ts";
export {
  ARBITRARY_ROLES,
  ARBITRARY_TAGS,
  ARBITRARY_VALUES,
  ARBITRARY_WORKLOADS,
  accessRequest,
  arbitraryAccessRequest,
  type AccessRequestFacts,
} from "./access-request.ts";
export {
  arbitraryCedarForbid,
  arbitraryCedarPolicies,
  textOfCedarPolicy,
  type ArbitraryCedarPolicy,
} from "./arbitrary-cedar-policies.ts";
export { createFakeAlarmClock, type FakeAlarmClock } from "./fake-alarm-clock.ts";
export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { createFakeSealer } from "./fake-sealer.ts";
export { killMint, mintAsOrdered, type KilledMint } from "./killed-mint.ts";
export { noBackendKeys } from "./no-backend-keys.ts";
export { noOutboundApis } from "./no-outbound-apis.ts";
export { createRecordingLog, type LogEntry, type RecordingLog } from "./recording-log.ts";
export { seededRandom } from "./seeded-random.ts";
export { createFakePolicyEngine, type FakePolicyRule } from "./fake-policy.ts";
export * from "./fake-backend/index.ts";
export { createTestBackendHost, type TestHostOptions } from "./test-backend-host.ts";
export { createTestSlots, type TestSlots } from "./test-slots.ts";
export {
  createFakeOutboundHttp,
  type FakeAnswer,
  type FakeOutboundHttp,
} from "./fake-outbound-http.ts";
export { createFakeSealedValues, type FakeSealedValues } from "./fake-sealed-values.ts";
export { createFakeSigningKeyStore, type FakeSigningKeyStore } from "./fake-signing-key-store.ts";
export {
  createFakeTrustRoots,
  createFakeVerifier,
  fakeIdentity,
  fakeTrustRoot,
  type FakeIdentity,
  type FakeTrust,
} from "./fake-trust-roots.ts";
export * from "./issuers/index.ts";
export { createTestBudget } from "./memory-ledger/backend-budget.ts";
export { createMemoryNames } from "./memory-ledger/backend-names.ts";
export { createMemoryLedger, type MemoryLedger } from "./memory-ledger/memory-ledger.ts";
export type { LedgerOperation, MemoryLedgerFaults } from "./memory-ledger/faults.ts";
export { createFakePolicyCompiler, fakePolicySource } from "./fake-policy-compiler.ts";
export { createFakeTaskTokens, type FakeTaskTokens } from "./fake-task-tokens.ts";
export {
  INVOICE_BOT,
  PERMIT_ALL,
  REPORT_BOT,
  WORLD_ISSUER,
  WORLD_PASSWORDS,
  WORLD_TRUST,
  createFakeFailPoints,
  createFakeWorld,
  furnish,
  proofOf,
  type FakeFailPoints,
  type FakeSettings,
  type FakeWorld,
  type FakeWorldOptions,
} from "./fake-world.ts";
export { createFakeAgent, loginOf, refusalOf, type OpenOptions } from "./fake-agent.ts";
export { startTcpFaultProxy, type TcpFaultProxy } from "./tcp-fault-proxy.ts";
