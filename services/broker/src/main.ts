import { runProcess } from "@mayfly/composition";
import { brokerSettingsFromEnvironment } from "./config.ts";
import { startBroker } from "./start-broker.ts";

await runProcess((logTo) => startBroker(brokerSettingsFromEnvironment(), logTo));
