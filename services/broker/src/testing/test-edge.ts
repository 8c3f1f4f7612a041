import type { Clock } from "@mayfly/spec";
import { seededRandom } from "@mayfly/testkit";
import { createAdmission } from "../http/admission.ts";
import { createEdgeServer, type EdgeOptions, type EdgeServer } from "../http/edge-server.ts";
import { unmetered } from "../http/request-meter.ts";
import { unpaced } from "../http/source-pace.ts";

/** How long a reader of a {@link createTestEdge} may take for a whole answer. */
export const TEST_UNREAD_MS_MAX = 60_000;

/** The HTTP server as the broker has it, over nothing but `fetch`. */
export const createTestEdge = (
  fetch: EdgeOptions["fetch"],
  clock: Clock,
  tls: EdgeOptions["tls"] = null,
): EdgeServer =>
  createEdgeServer({
    fetch,
    random: seededRandom("edge"),
    issuer: "https://mayfly.test",
    admission: createAdmission(clock),
    sourcePace: unpaced,
    clientAddress: () => null,
    meter: unmetered,
    isStopping: () => false,
    connectionsMax: 10,
    connectionsPerSourceMax: 10,
    isFromProxy: () => false,
    limits: {},
    unreadMsMax: TEST_UNREAD_MS_MAX,
    clock,
    tls,
    overrideGlobalObjects: false,
  });
