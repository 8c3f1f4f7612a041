export { describePolicyContract, type PolicyContractSubject } from "./policy-contract.ts";
