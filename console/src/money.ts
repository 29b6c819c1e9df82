// Money, which travels as whole minor units of its currency.

/** The currencies that a new order offers. The API takes every one of ISO 4217. */
export const CURRENCIES = ["USD", "EUR", "GBP", "CHF", "SEK", "PLN", "JPY", "INR", "BRL", "AUD", "CAD", "KWD"];

/** How many digits a currency has behind the point. */
export function digitsOf(currency: string): number {
  try {
    const options = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions();
    return options.maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

/** `62243` and `USD` as `$622.43`. */
export function formatMoney(minor: number, currency: string): string {
  const digits = digitsOf(currency);
  const format = { style: "currency", currency, currencyDisplay: "narrowSymbol" } as const;
  const options = { ...format, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat("en", options).format(minor / 10 ** digits);
}

/** `622.43` as minor units; nothing if it is no amount of that currency. */
export function parseMoney(text: string, currency: string): number | undefined {
  const digits = digitsOf(currency);
  const written = /^(\d{1,12})(?:[.,](\d*))?$/.exec(text.trim());
  const [, whole = "", fraction = ""] = written ?? [];
  if (!written || fraction.length > digits) return undefined;
  return Number(whole + fraction.padEnd(digits, "0"));
}
