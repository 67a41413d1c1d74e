import { library } from "../../tsup.base.ts";

// People install this package for itself and load it in pages: it is shipped small, without maps and sources.
export default library({ entry: ["src/index.ts", "src/worker.ts"], minify: true, sourcemap: false });
