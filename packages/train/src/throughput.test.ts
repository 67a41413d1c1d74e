import { expect, test } from "vitest";

import { Throughput } from "./throughput.ts";

test("the rate is the median of the last steps: one slow step does not show, old steps are forgotten", () => {
  const throughput = new Throughput(3);
  expect([throughput.tokensPerSecond, throughput.secondsPerStep]).toEqual([0, 0]);
  throughput.add(100, 1);
  throughput.add(100, 50);
  throughput.add(100, 1);
  expect([throughput.tokensPerSecond, throughput.secondsPerStep]).toEqual([100, 1]);
  for (let i = 0; i < 3; i++) throughput.add(100, 0.5);
  expect([throughput.tokensPerSecond, throughput.secondsPerStep]).toEqual([200, 0.5]);
});
