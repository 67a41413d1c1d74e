/** A kernel as its source declares it. */
export interface Declaration {
  readonly name: string;
  /** Arguments of `__launch_bounds__` and `__cluster_dims__`, empty where the kernel has none. */
  readonly threads: string;
  readonly cluster: string;
}

/** The kernels of a preprocessed file, in which the qualifiers of CUDA were left as they are. */
export function declarationsIn(preprocessed: string): Declaration[] {
  const text = preprocessed.replace(/^#.*$/gm, "");
  return [...text.matchAll(/extern\s+"C"\s+__global__/g)].map((start) => declarationAt(text, start.index + start[0].length));
}

/** Reads words up to the one that parameters follow, which is the kernel's name. */
function declarationAt(text: string, from: number): Declaration {
  let [threads, cluster] = ["", ""];
  const word = /\s*(\w+)\s*(\(?)/y;
  for (word.lastIndex = from; ;) {
    const [, name, opening] = word.exec(text) ?? [];
    if (name === undefined) throw new Error(`expected the declaration of a kernel, got ${text.slice(from, from + 200)}`);
    if (opening === "") continue;
    if (name !== "__launch_bounds__" && name !== "__cluster_dims__") return { name, threads, cluster };
    const end = closingOf(text, word.lastIndex);
    if (name === "__launch_bounds__") threads = text.slice(word.lastIndex, end);
    else cluster = text.slice(word.lastIndex, end);
    word.lastIndex = end + 1;
  }
}

/** Where the parenthesis closes that was opened before. */
function closingOf(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return i;
  }
  throw new Error(`expected a closing parenthesis after ${text.slice(from, from + 200)}`);
}
