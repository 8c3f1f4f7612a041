/** The only outbound HTTP: deadline, size cap, no redirects, and a policy on addresses. */
export { mayConnectTo, type AddressPolicy } from "./address-policy.ts";
export { createOutboundApis } from "./outbound-apis.ts";
export { OutboundError, type OutboundReason } from "./outbound-error.ts";
export {
  createOutboundHttp,
  type ClosableOutboundHttp,
  type OutboundHttpOptions,
} from "./outbound-http.ts";
export { resolveBySystem, type ResolveName } from "./policed-agent.ts";
