import type { Origin } from "../conversations/conversation.ts";

/** What becomes of a row or an example that is not trained on as it stands: it is malformed, passed over on purpose,
 *  dropped since nothing in it can be trained, or cut. */
export type Outcome = "malformed" | "passed over" | "dropped" | "truncated";

/** One row or example, and why. */
export interface Finding extends Origin {
  readonly outcome: Outcome;
  readonly reason: string;
}

/** How often a reason was found. */
export interface FindingCount {
  readonly outcome: Outcome;
  /** With … for numbers that differ. */
  readonly reason: string;
  readonly count: number;
  /** Where it was found first. */
  readonly first: readonly Origin[];
}

/** Most findings kept of an outcome, reasons told apart in all, and places named of a reason. */
const [kept, reasons, places] = [100, 200, 3];

/** Counts findings by reason, whatever the numbers in it, and keeps the first of each outcome. */
export class FindingLog {
  readonly #counts = new Map<string, FindingCount>();
  readonly #found = new Map<Outcome, Finding[]>();

  add(finding: Finding): void {
    const { outcome } = finding;
    const found = this.#found.get(outcome) ?? [];
    this.#found.set(outcome, found);
    if (found.length < kept) found.push(finding);
    const general = finding.reason.replaceAll(/\d+/g, "…");
    const isOther = !this.#counts.has(`${outcome}\n${general}`) && this.#counts.size >= reasons;
    const shared = isOther ? "other reasons" : general;
    const key = `${outcome}\n${shared}`;
    const { count, first, reason } = this.#counts.get(key) ?? { count: 0, first: [], reason: finding.reason };
    this.#counts.set(key, {
      outcome,
      reason: isOther || reason !== finding.reason ? shared : reason,
      count: count + 1,
      first: first.length < places ? [...first, { source: finding.source, line: finding.line }] : first,
    });
  }

  report(): { readonly findings: FindingCount[]; readonly found: Finding[] } {
    const findings = [...this.#counts.values()].sort((a, b) => b.count - a.count);
    return { findings, found: [...this.#found.values()].flat() };
  }
}
