"use strict";
const { enableCompileCache } = require("node:module");
const { join } = require("node:path");

// Reading and compiling is most of a short command's time. Kept with the checkout's other things,
// where nobody writes who could not write the programs themselves; not in a folder that all share.
enableCompileCache(join(__dirname, "../.mayfly/compiled"));
