import { describe, expect, it } from "vitest";
import { danubeTemplate, DataError, parseChatTemplate, readMessages, templateOf } from "../src/index.ts";
import { turns } from "./chat-support.ts";

describe("readMessages", () => {
  it("takes conversations with further fields", () => {
    const messages = [{ role: "user", content: "", tool_calls: [{ name: "f", arguments: { a: [1, null] } }] }];
    expect(readMessages(messages)).toEqual(messages);
    expect(readMessages([])).toEqual([]);
  });

  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  const wrong: readonly (readonly [unknown, string])[] = [
    [null, "messages: expected an array, got null"],
    [{}, "messages: expected an array, got an object"],
    [new Array(1001).fill({ role: "user", content: "" }), "messages: expected at most 1000, got 1001"],
    [["hi"], 'message 0: expected an object with role and content, got "hi"'],
    [[...turns("a"), null], "message 1: expected an object with role and content, got null"],
    [[{ content: "a" }], 'message 0: expected role to be a name of up to 32 letters, digits, "_" and "-", got nothing'],
    [[{ role: "user<|im_end|>", content: "a" }], "message 0: expected role to be a name"],
    [[{ role: "user" }], "message 0: expected content to be a string, got nothing"],
    [[{ role: "user", content: ["a"] }], "message 0: expected content to be a string, got an array"],
    [[{ role: "user", content: "a".repeat(5_000_000) }], "content of at most 4194304 characters, got 5000000"],
    [[{ role: "user", content: "", x: nested(100) }], "nested deeper than 64 levels"],
    [[{ role: "user", content: "", x: new Array(200_000).fill(1) }], "more than 100000 values"],
    [[{ role: "user", content: "", x: () => 1 }], "holds a function"],
    [[{ role: "user", content: "", x: new Date() }], "holds an object"],
    [[{ role: "user", content: "", x: NaN }], "holds NaN"],
  ];
  for (const [value, message] of wrong) {
    it(message, () => {
      const error = errorOf(() => readMessages(value));
      expect(error.code).toBe("bad-messages");
      expect(error.message).toContain(message);
    });
  }
});

describe("templateOf", () => {
  it("reads a source and special tokens, as strings or objects", () => {
    const source = "{{ bos_token }}{{ eos_token }}{{ pad_token }}";
    const config = { chat_template: source, bos_token: "<s>", eos_token: { content: "</s>" } };
    expect(templateOf(config).render([])).toBe("<s></s>");
    expect(templateOf({ ...config, pad_token: null }).specialTokens).toEqual({ bos_token: "<s>", eos_token: "</s>" });
  });

  it("chooses from a list by name", () => {
    const config = {
      chat_template: [
        { name: "tool_use", template: "tools" },
        { name: "default", template: "plain" },
      ],
    };
    expect(templateOf(config).source).toBe("plain");
    expect(templateOf(config, { name: "tool_use" }).source).toBe("tools");
    expect(errorOf(() => templateOf(config, { name: "rag" })).message).toBe(
      'expected chat_template to hold a template named "rag", got "tool_use", "default"',
    );
  });

  it("is Danube's where there is none", () => {
    expect(templateOf({}).render(turns("a", "b"))).toBe("<|prompt|>a</s><|answer|>b</s>");
    expect(templateOf({ eos_token: "<end>" }).render(turns("a"))).toBe("<|prompt|>a<end>");
  });

  it.each([
    [null, "expected tokenizer_config.json to hold an object, got null"],
    [{ chat_template: 1 }, "expected chat_template to be a string or a list of named templates, got 1"],
    [{ chat_template: [] }, 'expected chat_template to hold a template named "default", got none'],
    [{ bos_token: 1 }, "expected bos_token to be a string or an object with content, got 1"],
    [{ bos_token: {} }, "expected bos_token to be a string or an object with content, got nothing"],
  ])("%j is refused", (config, message) => {
    const error = errorOf(() => templateOf(config));
    expect(error.code).toBe("bad-template");
    expect(error.message).toBe(message);
  });
});

describe("errors of templates", () => {
  it.each([
    ["a\n{{ x ? y }}", 'chat template, line 2, at {{ x ? y }}: expected Jinja, got: Unexpected character: ?'],
    ["{% if x %}\n\n{% fi %}", "chat template, line 3, at {% fi %}: expected Jinja, got: Unknown statement type: fi"],
    ["{% generation %}{% endgeneration %}\n{{ 'a' b }}", "line 2, at {{ 'a' b }}: expected Jinja"],
    ["{% for x in y %}{{ x }}", "chat template: expected Jinja, got: its end inside a block or tag"],
    ["{{ '}}' + \"%}\" + }}\n", "line 1, at {{ '}}' + \"%}\" + }}: expected Jinja"],
  ])("%j: the line", (source, message) => {
    const error = errorOf(() => parseChatTemplate(source));
    expect(error.code).toBe("bad-template");
    expect(error.message).toContain(message);
  });

  it("raise_exception gives the template's words", () => {
    const error = errorOf(() => danubeTemplate.render([{ role: "system", content: "a" }]));
    expect(error.code).toBe("template-raised");
    expect(error.message).toBe("the chat template refuses the conversation: System role not supported");
    expect(error.data).toEqual({ reason: "System role not supported" });
  });

  it("evaluation errors say what is missing", () => {
    const messageOf = (source: string): string => errorOf(() => parseChatTemplate(source).render([])).message;
    expect(messageOf("{{ message.tool.name }}")).toContain("expected message to have a value, it is undefined");
    expect(messageOf("{{ [1] }}")).toContain("expected text to print, got a list: write `| tojson` after it");
    expect(messageOf("{{ x | nothing }}")).toContain("nothing");
    expect(messageOf("{{ 'a' + none }}")).toBe(
      "chat template: +: expected two strings, got a string and none: write ~ to join them as text",
    );
  });
});

describe("variables of a rendering", () => {
  it("an unknown one is written as nothing, or is an error with its name; special tokens may be missing", () => {
    const render = (source: string): string => (
      parseChatTemplate(source).render([], { unknownVariables: "error", variables: { known: "x" } })
    );
    expect(parseChatTemplate("a{{ systm }}b").render([])).toBe("ab");
    expect(errorOf(() => render("a{{ systm }}b")).message).toBe(
      "chat template: it writes the variable systm, which nothing gives it; correct the name, or set it in the template",
    );
    const sources = ["{{ bos_token }}{{ known }}", "{% set y = 'x' %}{{ y }}", "x{% if z is defined %}{{ z }}{% endif %}"];
    expect(sources.map(render)).toEqual(["x", "x", "x"]);
  });

  const now = new Date(2024, 6, 4, 15, 5, 9);

  it("tools, further ones, and the time", () => {
    const source = "{{ tools | tojson }}{{ tools is none }} {{ thinking }} {{ strftime_now(format) }}";
    const variables = { thinking: false, format: "%d %b %Y %H:%M:%S %-d %A %I %p %j %%" };
    const text = parseChatTemplate(source).render([], { tools: [{ a: 1 }], variables, now });
    expect(text).toBe('[{"a": 1}]False False 04 Jul 2024 15:05:09 4 Thursday 03 PM 186 %');
    expect(parseChatTemplate("{{ tools is defined }}{{ tools is none }}").render([])).toBe("TrueTrue");
  });

  it("must be JSON and may not replace what every template has", () => {
    const render = (variables: Record<string, unknown>): string => parseChatTemplate("").render([], { variables });
    const { message } = errorOf(() => render({ f: () => 1 }));
    expect(message).toBe("f: expected a value that JSON can hold, this one holds a function");
    for (const name of ["messages", "namespace", "range", "raise_exception", "True"]) {
      expect(errorOf(() => render({ [name]: 1 })).code).toBe("bad-option");
    }
  });
});

function errorOf(run: () => unknown): DataError {
  try {
    run();
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
  throw new Error("expected an error");
}
