import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import { tellStories } from "../src/quickstart/stories.ts";
import { makeWorld } from "../src/quickstart/world.ts";
import { danu, inFolder } from "./support.ts";

test("a world's stories follow from its seed and agree with its facts", () => {
  const world = makeWorld(1);
  expect(makeWorld(1)).toEqual(world);
  expect(makeWorld(2)).not.toEqual(world);
  expect(new Set(world.people.map(({ home }) => home)).size).toBe(world.people.length);
  world.people.forEach(({ friend }, i) => expect(friend).not.toBe(i));
  const stories = [...tellStories(world, 3, 500)];
  expect([...tellStories(world, 3, 500)]).toEqual(stories);
  for (const story of stories) {
    expect(story).toMatch(/^(Once upon a time|In the village).*[.!"]$/);
    expect(story).not.toMatch(/undefined|NaN|\[object| {2}/);
    for (const { name, home, pet } of world.people) {
      expect(/called (\S+), who lived in (the [^.]*)\./.exec(story)?.[1] === name ? story.includes(home) : true).toBe(
        true,
      );
      if (story.includes(`${name} had a `) && story.includes(" called "))
        expect(story).toContain(`a ${pet.kind} called ${pet.name}`);
    }
    const money = /with (\w+) coins? .* cost (\w+) coins?\. \w+ paid, and had (\w+) coins? left/.exec(story);
    if (money === null) continue;
    const [had, cost, left] = money.slice(1).map((word) => numbers.indexOf(word));
    expect(had! - cost!).toBe(left);
  }
});

const numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

test("danu quickstart trains, writes its report, and goes on when run again", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "quick");
    const args = ["quickstart", "--out", out, "--stories", "100", "--steps", "1"];
    const first = await danu(args);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toMatch(/step 1\/1 {2}loss [67]\.\d+/);
    expect(first.stdout).toContain("npx danu generate --model");
    expect(await readFile(join(out, "pretrain", "report.html"), "utf8")).toContain("Pretraining nano");
    const again = await danu([...args, "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ stopped: "complete", step: 1 });
  });
});
