// The cards that the sandbox knows, which are no secret, and what an own card looks like on its way to the API.

export interface Card {
  number: string;
  cvt: string;
  expiry: string;
}

export interface SandboxCard {
  label: string;
  number: string;
}

/** By what happens with them, the usual ones first. */
export const SANDBOX_CARDS: { group: string; cards: SandboxCard[] }[] = [
  {
    group: "Approved",
    cards: [
      { label: "Approved", number: "4242424242424242" },
      { label: "Approved after 3 seconds", number: "4000000000006306" },
      { label: "Approved, its first refund fails", number: "4000000000006405" },
    ],
  },
  {
    group: "Declined",
    cards: [
      { label: "Declined", number: "4000000000000002" },
      { label: "Insufficient funds", number: "4000000000009995" },
      { label: "Lost card", number: "4000000000009987" },
      { label: "Expired card", number: "4000000000000069" },
      { label: "Wrong security code", number: "4000000000000127" },
      { label: "Processing error", number: "4000000000000119" },
    ],
  },
  {
    group: "In doubt",
    cards: [
      { label: "Charged, but the answer is lost", number: "4000000000006108" },
      { label: "Not charged, and the answer is lost", number: "4000000000006207" },
    ],
  },
];

/** Of the sandbox, ready to be sent. */
export function sandboxCard(number: string): Card {
  return { number, cvt: "123", expiry: "12/40" };
}

/** `insufficient_funds` in words. */
export function declineInWords(code: string): string {
  const text = code.replaceAll("_", " ").replace("cvc", "security code");
  return code === "generic_decline" ? "no reason given" : text;
}
