import type { SelectorEndLedger } from "@mayfly/spec";
import { awaitReservations } from "./await-reservations.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { markMembers } from "./selector-mark.ts";
import { previewEnd } from "./selector-preview.ts";
import { liveMembers, reportSelectorEnd } from "./selector-report.ts";
import {
  abandonedSelectorEnds,
  findSelectorEnd,
  finishSelectorEnd,
  listSelectorEnds,
  lookAgain,
  requestSelectorEnd,
} from "./selector-request.ts";
import type { Sql } from "./sql.ts";
import { unknownNames } from "./unknown-names.ts";

export const selectorEndLedger = (ports: RetryPorts, sql: Sql): SelectorEndLedger => ({
  unknownNames: (names) => withRetries(ports, () => unknownNames(sql, names)),
  preview: (target, selector, limit) =>
    withRetries(ports, () => previewEnd(sql, target, selector, limit)),
  request: (request) => withRetries(ports, () => requestSelectorEnd(sql, request)),
  look: (id) =>
    withRetries(ports, async () => {
      await awaitReservations(ports, sql);
      return lookAgain(sql, id);
    }),
  mark: (id, limit, locked) => withRetries(ports, () => markMembers(sql, id, limit, locked)),
  finish: (id, result) => withRetries(ports, () => finishSelectorEnd(sql, id, result)),
  abandoned: (idleSeconds, limit) =>
    withRetries(ports, () => abandonedSelectorEnds(sql, idleSeconds, limit)),
  find: (id) => withRetries(ports, () => findSelectorEnd(sql, id)),
  list: (page) => withRetries(ports, () => listSelectorEnds(sql, page)),
  report: (id, page) => withRetries(ports, () => reportSelectorEnd(sql, id, page)),
  liveMembers: (id, limit) => withRetries(ports, () => liveMembers(sql, id, limit)),
});
