import type { OutboundApis } from "@mayfly/spec";

/** For worlds whose backends have no HTTP API. */
export const noOutboundApis: OutboundApis = {
  open: () => {
    throw new Error("this world's backends have no HTTP API");
  },
};
