// Writes the first conversations of a file as lines of JSON messages, white space at their ends removed as chat
// templates do, for generators that label them with other programs.
//
//   node tools/golden/save-conversations.mjs FILE COUNT > conversations.jsonl
import { readConversations } from "@danu/data";

const [file, count] = process.argv.slice(2);
let left = Number(count);
for await (const { messages } of readConversations([file])) {
  process.stdout.write(`${JSON.stringify(messages.map(({ role, content }) => ({ role, content: content.trim() })))}\n`);
  if (--left === 0) break;
}
