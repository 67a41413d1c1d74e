import type { PreferenceLoss } from "./define-loss.ts";
import { aotLoss, aotUnpairedLoss } from "./losses/aot.ts";
import { apoDownLoss, apoZeroLoss } from "./losses/apo.ts";
import { bcoPairLoss, ncaPairLoss } from "./losses/classifiers.ts";
import { cpoLoss } from "./losses/cpo.ts";
import { discopopLoss } from "./losses/discopop.ts";
import { exoPairLoss } from "./losses/exo.ts";
import { hingeLoss } from "./losses/hinge.ts";
import { ipoLoss } from "./losses/ipo.ts";
import { ktoLoss } from "./losses/kto.ts";
import { cdpoLoss, robustLoss } from "./losses/noisy-labels.ts";
import { orpoLoss } from "./losses/orpo.ts";
import { sigmoidLoss, sigmoidNormLoss } from "./losses/sigmoid.ts";
import { simpoLoss } from "./losses/simpo.ts";
import { sppoHardLoss } from "./losses/sppo.ts";
import { sftLoss } from "./losses/supervised.ts";

/** Name of a loss, as TRL has it where TRL has it. */
export type LossName =
  | "sigmoid"
  | "sigmoid_norm"
  | "hinge"
  | "ipo"
  | "cdpo"
  | "robust"
  | "exo_pair"
  | "nca_pair"
  | "bco_pair"
  | "sppo_hard"
  | "apo_zero"
  | "apo_down"
  | "aot"
  | "aot_unpaired"
  | "discopop"
  | "kto"
  | "sft"
  | "orpo"
  | "simpo"
  | "cpo";

/** All losses by name, with what a command line needs to list them. */
export const preferenceLosses: Readonly<Record<LossName, PreferenceLoss>> = {
  sigmoid: sigmoidLoss,
  sigmoid_norm: sigmoidNormLoss,
  hinge: hingeLoss,
  ipo: ipoLoss,
  cdpo: cdpoLoss,
  robust: robustLoss,
  exo_pair: exoPairLoss,
  nca_pair: ncaPairLoss,
  bco_pair: bcoPairLoss,
  sppo_hard: sppoHardLoss,
  apo_zero: apoZeroLoss,
  apo_down: apoDownLoss,
  aot: aotLoss,
  aot_unpaired: aotUnpairedLoss,
  discopop: discopopLoss,
  kto: ktoLoss,
  sft: sftLoss,
  orpo: orpoLoss,
  simpo: simpoLoss,
  cpo: cpoLoss,
};
