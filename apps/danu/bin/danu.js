#!/usr/bin/env node
import("../dist/main.js").then(
  ({ runProcess }) => runProcess(),
  (error) => {
    if (error?.code !== "ERR_MODULE_NOT_FOUND" || !String(error.message).includes("dist")) throw error;
    console.error("danu: this checkout is not built yet; run \"npm run build\" first.");
    process.exitCode = 1;
  },
);
