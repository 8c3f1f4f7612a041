import { mintAsOrdered } from "@mayfly/testkit";
import { awsBackend } from "../aws-backend.ts";
import { openLedgerHost } from "./ledger-host.ts";

/** A program that mints one lease, to be killed on the way. */
const { host } = await openLedgerHost();
await mintAsOrdered(awsBackend, host);
