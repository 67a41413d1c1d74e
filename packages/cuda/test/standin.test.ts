import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import { chipOf } from "../src/chip.ts";
import { CudaDevice } from "../src/device.ts";
import { Driver } from "../src/driver.ts";
import { defineKernel } from "../src/kernel.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const squares = defineKernel("gradient-norm", "gradient_norm_squares", "ppl");

describe.skipIf(twinMissing)(`the stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["gradient-norm"]);
  }, 600_000);
  beforeEach(() => standin.reset());

  function open(): CudaDevice {
    const driver = Driver.load(standin.library);
    driver.functions.Init(0);
    return new CudaDevice(driver, chipOf(driver, 0), standin.folder);
  }

  test("runs an unmodified kernel on what was copied to it, and nothing is left", async () => {
    {
      using device = open();
      const [x, y] = [device.allocate(4096), device.allocate(8)];
      device.write(x, new Uint8Array(new Float32Array(1024).fill(2).buffer));
      device.launch(squares, { grid: [1], block: 256 }, y, x, 1024);
      expect(new Float64Array((await device.read(y, 8)).buffer)[0]).toBe(4096);
    }
    expect(standin.live()).toEqual({});
    expect(standin.reports()).toEqual([]);
  });
});
