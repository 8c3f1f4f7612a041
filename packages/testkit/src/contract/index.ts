export { describePolicyContract, type PolicyContractSubject } from "./policy-contract.ts";
export { describeSealContract, type SealContractSubject } from "./seal-contract.ts";
export {
  describeQueueContract,
  type QueueContractSubject,
  type QueueUnderTest,
} from "./queue-contract.ts";
