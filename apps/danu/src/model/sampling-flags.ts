/** Flags that say how a text is continued. */
export const samplingFlags = {
  maxTokens: { type: "integer", value: "N", min: 1, default: 256, help: "most tokens to add" },
  temperature: { type: "number", value: "X", min: 0, max: 100, default: 0.8, help: "0 always takes the best token" },
  topK: { type: "integer", value: "N", min: 0, default: 0, help: "choose among the N best tokens; 0 for all" },
  topP: {
    type: "number", value: "X", min: 0.000_001, max: 1, default: 1,
    help: "choose among the best tokens of this probability together",
  },
  repetitionPenalty: {
    type: "number", value: "X", min: 0.1, max: 10, default: 1, help: "above 1 avoids tokens already in the text",
  },
  seed: { type: "integer", value: "N", min: 0, default: 1, help: "of the choices" },
} as const;
