import { describe, expect, it } from "vitest";
import { readSettings } from "./settings-files.ts";

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const flags = { leftStrip: false, rightStrip: false, singleWord: false };

describe("readSettings", () => {
  it("no files say nothing", () => {
    expect(readSettings({})).toEqual({});
  });

  it("tokenizer_config.json", () => {
    const config = json({
      bos_token: "<s>",
      eos_token: { __type: "AddedToken", content: "</s>", lstrip: true },
      pad_token: null,
      add_bos_token: true,
      add_eos_token: null,
      legacy: false,
      model_max_length: 1e30,
      sp_model_kwargs: { a: [1, { b: null }] },
      added_tokens_decoder: {
        "2": { content: "</s>", special: true, rstrip: true, normalized: false },
        "32000": { content: "<x>", normalized: true },
      },
      chat_template: "{{ messages }}",
    });
    expect(readSettings({ config })).toEqual({
      bos: "<s>",
      eos: "</s>",
      pad: null,
      addsBos: true,
      legacy: false,
      chatTemplate: "{{ messages }}",
      addedTokens: [
        { id: 2, content: "</s>", special: true, ...flags, rightStrip: true, normalized: false },
        { id: 32000, content: "<x>", special: false, ...flags, normalized: true },
      ],
    });
  });

  it("of several templates the default one, and a file of its own before them", () => {
    const templates = [{ name: "tool_use", template: "a" }, { template: "b", name: "default" }];
    const config = json({ chat_template: templates });
    expect(readSettings({ config })).toEqual({ chatTemplate: "b" });
    expect(readSettings({ config: json({ chat_template: [] }) })).toEqual({});
    const chatTemplate = new TextEncoder().encode("\u00e9");
    expect(readSettings({ config, chatTemplate })).toEqual({ chatTemplate: "\u00e9" });
  });

  it("the older files count where the config lists no tokens", () => {
    const others = { additional_special_tokens: ["<y>"] };
    const specialTokensMap = json({ bos_token: "[B]", pad_token: { content: "[P]" }, ...others });
    const addedTokens = json({ "[P]": 7, "<y>": 8, "<z>": 9 });
    const old = { config: json({ bos_token: "<s>", unk_token: "<unk>" }), specialTokensMap, addedTokens };
    expect(readSettings(old)).toEqual({
      bos: "[B]",
      unk: "<unk>",
      pad: "[P]",
      addedTokens: [
        { id: 7, content: "[P]", special: true, normalized: false },
        { id: 8, content: "<y>", special: true, normalized: false },
        { id: 9, content: "<z>", special: false, normalized: true },
      ],
    });
    const config = json({ bos_token: "<s>", added_tokens_decoder: {} });
    expect(readSettings({ ...old, config })).toEqual({ bos: "<s>", pad: "[P]", addedTokens: [] });
  });
});
