/** A GPU needs neither compiler nor headers. */
export const twinMissing: string = "";
