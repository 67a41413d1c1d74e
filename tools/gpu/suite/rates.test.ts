import { expect, test } from "vitest";

import { ratesIn } from "./rates.ts";

test("rates are found in the lines of every program", () => {
  const output = [
    "fp8 forward, cluster sharing B                                    16384 x   2560 x   6912  difference 3.1e-07 ok  0.388 ms  1495 TFLOP/s",
    "attention window    T 16384 heads 32/8 window  4096 document    0  difference 2.0e-06 lse 1e-06 ok  1.105 ms  545 TFLOP/s",
    "adamw flat <4>                     n 1000 step 1 clip 1                    0.1130 ms   4140 GB/s  96.8 %",
    "adamw flat <4>                     n 1000 step 1 clip 1                   difference 1.0e-08 ok",
    "memory copy by the driver, 4 GiB                     2.240 ms   3835 GB/s",
    "step, bf16 weights, vector, batch 1, position 4095, early, 32 MiB ahead  1.304 ms    767 tokens/s   2690 GB/s  60.9 %",
    "transformers + torch.compile bf16, danube-1.8b, 8 x 2048  471 ms, 34750 tokens/s, peak 61 GiB, first three steps 70 s",
  ].join("\n");
  expect(ratesIn(output)).toEqual([
    { name: "fp8 forward, cluster sharing B 16384 x 2560 x 6912", value: 1495, unit: "TFLOP/s" },
    { name: "attention window T 16384 heads 32/8 window 4096 document 0", value: 545, unit: "TFLOP/s" },
    { name: "adamw flat <4> n 1000 step 1 clip 1", value: 4140, unit: "GB/s" },
    { name: "memory copy by the driver, 4 GiB", value: 3835, unit: "GB/s" },
    { name: "step, bf16 weights, vector, batch 1, position 4095, early, 32 MiB ahead", value: 767, unit: "tokens/s" },
    { name: "step, bf16 weights, vector, batch 1, position 4095, early, 32 MiB ahead", value: 2690, unit: "GB/s" },
    { name: "transformers + torch.compile bf16, danube-1.8b, 8 x 2048", value: 34750, unit: "tokens/s" },
  ]);
});
