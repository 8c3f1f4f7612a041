import { describeSealContract } from "./contract/seal-contract.ts";
import { createFakeSealer } from "./fake-sealer.ts";

describeSealContract("fake", { createSealer: createFakeSealer });
