import type { Figure } from "./part.ts";

/** Rates in what a C++ program printed, each with the words before its difference or its time. */
export function ratesIn(output: string): Figure[] {
  return output.split("\n").flatMap((line) => {
    const [name] = line.split(/ +difference |\s+[\d.]+ (?:ms|us)\b/);
    return [...line.matchAll(/([\d.]+) (TFLOP\/s|GB\/s|tokens\/s)/g)].map(([, value, unit]) => (
      { name: name!.replace(/\s+/g, " ").trim(), value: Number(value), unit: unit! }
    ));
  });
}
