import {
  add,
  concat,
  disposeTree,
  mean,
  neg,
  referenceDevice,
  scope,
  sum,
  tensor,
  tokenLosses,
  valueAndGrad,
  type Tensor,
} from "@danu/tensor";
import { expectClose, hostTensor, upload } from "@danu/testing";
import { expect, test } from "vitest";

import { preferenceObjective, sequenceLengths, sequenceLogProbabilities, splitPairs } from "../src/index.ts";

const hidden = 6;
const vocabulary = 11;

test("one packed pass of a head gives the loss and the gradients of answers run one by one", async () => {
  const device = referenceDevice({ precision: "f64" });
  const answers = [[4, 7, 1], [2, 2], [9], [3, 0, 10, 5]];
  const prompts = [2, 0, 1, 3];
  // Rejected answers come first here: places in the row do not matter, numbers do.
  const order = [3, 1, 0, 2];
  const tokens = order.flatMap((answer) => [
    ...Array.from({ length: prompts[answer]! }, () => ({ target: 8, segment: -1, answer })),
    ...answers[answer]!.map((target) => ({ target, segment: answer, answer })),
  ]);
  const rows = upload(device, hostTensor("f32", [tokens.length, hidden], 1));
  const head = upload(device, hostTensor("f32", [vocabulary, hidden], 2));
  const targets = tensor(
    device,
    tokens.map(({ target }) => target),
    [tokens.length],
    "i32",
  );
  const segments = tensor(
    device,
    tokens.map(({ segment }) => segment),
    [tokens.length],
    "i32",
  );
  const reference = { referenceChosen: tensor(device, [-5, -4]), referenceRejected: tensor(device, [-3, -9]) };
  const objective = preferenceObjective([{ loss: "sigmoid_norm" }, { loss: "sft", weight: 0.5 }]);
  const lengths = scope(() => splitPairs(sequenceLengths(segments, 4)));
  const given = { chosenLengths: lengths.chosen, rejectedLengths: lengths.rejected, ...reference };

  const [packed, packedGradients] = valueAndGrad((p: { rows: Tensor; head: Tensor }) => {
    const sequences = sequenceLogProbabilities(neg(tokenLosses(p.rows, p.head, targets)), segments, 4);
    return mean(objective.losses({ ...splitPairs(sequences), ...given }));
  })({ rows, head });

  const places = answers.map((_, answer) => tokens.flatMap(({ segment }, at) => (segment === answer ? [at] : [])));
  const values = Array.from(await rows.read());
  const alone = places.map((at) =>
    tensor(
      device,
      at.flatMap((i) => values.slice(i * hidden, (i + 1) * hidden)),
      [at.length, hidden],
    ),
  );
  const goals = answers.map((ids) => tensor(device, ids, [ids.length], "i32"));
  const [single, singleGradients] = valueAndGrad((p: { alone: readonly Tensor[]; head: Tensor }) => {
    const each = p.alone.map((x, i) => neg(sum(tokenLosses(x, p.head, goals[i]!), { keepDims: true })));
    const [chosen, rejected] = [concat(each.slice(0, 2), 0), concat(each.slice(2), 0)];
    return add(mean(objective.losses({ chosen, rejected, ...given })), 0);
  })({ alone, head });

  expectClose([await packed.item()], [await single.item()], { rtol: 1e-12 });
  expectClose(await packedGradients.head.read(), await singleGradients.head.read(), { rtol: 1e-9, atol: 1e-12 });
  const packedRows = Array.from(await packedGradients.rows.read());
  for (const [answer, at] of places.entries()) {
    const expected = await singleGradients.alone[answer]!.read();
    expectClose(
      at.flatMap((i) => packedRows.slice(i * hidden, (i + 1) * hidden)),
      expected,
      { rtol: 1e-9, atol: 1e-12 },
    );
  }
  // Prompts carry no gradient.
  tokens.forEach(({ segment }, at) => {
    if (segment < 0) expect(packedRows.slice(at * hidden, (at + 1) * hidden).every((x) => x === 0)).toBe(true);
  });
  disposeTree([
    rows,
    head,
    targets,
    segments,
    reference,
    lengths,
    packed,
    packedGradients,
    alone,
    goals,
    single,
    singleGradients,
  ]);
  expect(device.liveBuffers).toBe(0);
});
