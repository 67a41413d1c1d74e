import { type ChatTemplate, parseChatTemplate } from "./chat-template.ts";

const source =
  "{% for message in messages %}" +
  "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
  "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) " +
  "or (message['role'] == 'assistant') != (loop.index0 % 2 == 1) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}" +
  "{% if message['role'] == 'user' %}{{ '<|prompt|>' + message['content'].strip() + eos_token }}" +
  "{% elif message['role'] == 'assistant' %}{{ '<|answer|>' + message['content'].strip() + eos_token }}{% endif %}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|answer|>' }}{% endif %}";

/** H2O-Danube's template: `<|prompt|>question</s><|answer|>answer</s>`, without BOS and without a system role.
 *  H2O LLM Studio exports it so for models trained with it. */
export const danubeTemplate: ChatTemplate = /* @__PURE__ */ parseChatTemplate(source, {
  specialTokens: { bos_token: "<s>", eos_token: "</s>" },
});
