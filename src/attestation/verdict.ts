/**
 * What a requester may conclude about a provider. Three outcomes, never a boolean: what was not checked is undecided,
 * and nothing undecided ever reads as accepted.
 */
export interface Verdict {
  readonly verdict: "accepted" | "rejected" | "undecided";
  readonly code: "no-evidence" | "evidence-not-checked";
  /** What it means. */
  readonly why: string;
  /** What to do about it. */
  readonly fix: string;
}

/** The verdict on a card by its evidence hash alone. */
export function verdictOnCard(card: { readonly evidenceHash?: Uint8Array | undefined }): Verdict {
  if (card.evidenceHash === undefined) {
    return {
      verdict: "undecided",
      code: "no-evidence",
      why: "the provider's card carries no evidence: nothing shows what program or hardware is behind it",
      fix: "use it for development only, or choose a provider whose card cites evidence",
    };
  }
  return {
    verdict: "undecided",
    code: "evidence-not-checked",
    why: "the card cites evidence that this version does not verify",
    fix: "verify the provider with a release that checks evidence before you trust it",
  };
}
