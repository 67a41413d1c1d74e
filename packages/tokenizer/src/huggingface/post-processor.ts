import { type Section, stepsOf } from "./section.ts";

/** Ids around every text that has special tokens added. */
export interface Frame {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** What the post-processor puts around a single text. Trimming of offsets (`trim_offsets`) is left out: here the
 *  ranges of ids always follow one another.
 *  @throws TokenizerError `unsupported-model` for other kinds */
export function frameOf(section: Section | undefined, vocabularySize: number): Frame {
  const templates = stepsOf(section, "processors").filter((step) => step.type !== "ByteLevel");
  if (templates.length > 1) throw templates[1]!.unsupported("one template", "another");
  const frame = templates[0] === undefined ? { prefix: [], suffix: [] } : frameOfStep(templates[0]);
  const beyond = [...frame.prefix, ...frame.suffix].find((id) => id >= vocabularySize);
  if (beyond !== undefined) throw section!.malformed(`ids below ${vocabularySize}, got ${beyond}`);
  return frame;
}

function frameOfStep(step: Section): Frame {
  if (step.type === "TemplateProcessing") return frameOfTemplate(step);
  if (step.type === "BertProcessing" || step.type === "RobertaProcessing") {
    return { prefix: [idOfPair(step.required("cls"))], suffix: [idOfPair(step.required("sep"))] };
  }
  throw step.unsupported("a post-processor of type TemplateProcessing or ByteLevel", step.type);
}

function frameOfTemplate(template: Section): Frame {
  const before: number[] = [];
  const after: number[] = [];
  let sequences = 0;
  for (const part of template.list("single")) {
    const token = part.at("SpecialToken");
    if (token === undefined) {
      if (part.required("Sequence").text("id") !== "A") throw part.unsupported("the sequence A", "another");
      sequences++;
    } else {
      const ids = template.required("special_tokens").required(token.text("id")).list("ids");
      (sequences === 0 ? before : after).push(...ids.map((id) => id.whole));
    }
  }
  if (sequences !== 1) throw template.unsupported("a template with the sequence once", `it ${sequences} times`);
  return { prefix: before, suffix: after };
}

function idOfPair(pair: Section): number {
  const id = pair.items[1];
  if (id === undefined) throw pair.malformed("a token and its id");
  return id.whole;
}
