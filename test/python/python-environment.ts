import { join } from "node:path";
import { lockedPython } from "@mayfly/embedded";

export const ROOT = join(import.meta.dirname, "../..");
export const PACKAGE = join(ROOT, "packages/client-python");
const LOCK = join(PACKAGE, "requirements/test.txt");

/** With all that the tests of the Python client need. */
export const testPython = (python: string): Promise<string> => lockedPython(python, LOCK);
