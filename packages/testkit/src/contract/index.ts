export { fakeBackendSubject, type FakeBackendUnderTest } from "./fake-backend-subject.ts";
export { describePolicyContract } from "./policy-contract.ts";
export type { PolicyContractSubject } from "./policy-contract-subject.ts";
export { describeSealContract, type SealContractSubject } from "./seal-contract.ts";
export {
  describeQueueContract,
  type QueueContractSubject,
  type QueueUnderTest,
} from "./queue-contract.ts";
export { describeBackendContract } from "./backend-contract.ts";
export {
  BackendBench,
  backendErrorOf,
  CONTRACT_HOLDER,
  freshLeaseId,
  revoking,
} from "./backend-bench.ts";
export type {
  BackendContractSubject,
  BadInput,
  ContractRotation,
  ContractUpstream,
  HeldSession,
  ParseCases,
  UpstreamRoute,
} from "./backend-contract-subject.ts";
export {
  describeIdentityContract,
  IDENTITY_FLAWS,
  type IdentityContractSubject,
  type IdentityFlaw,
  type IdentityUnderTest,
} from "./identity-contract.ts";
export { describeLedgerContract } from "./ledger-contract.ts";
export type { LedgerContractSubject, LedgerUnderTest } from "./ledger/subject.ts";
export * as ledgerFixtures from "./ledger/fixtures.ts";
