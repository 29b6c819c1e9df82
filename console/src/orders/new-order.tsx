// A new order: an amount or items, sent with a key so that sending it twice places it once.

import { useRef, useState } from "preact/hooks";
import { type Item, type NewOrder as Body, type Order, type Problem, asProblem, ask } from "../api";
import { CURRENCIES, digitsOf, formatMoney, parseMoney } from "../money";
import { BUSY, Dialog, Field, ProblemNote, useFirstWrong } from "../parts";
import { useSession } from "../session";
import { toast } from "../toasts";

/** An item as it is typed. */
interface Draft {
  sku: string;
  quantity: string;
  price: string;
}

export function NewOrder({ onClose, onPlaced }: { onClose(): void; onPlaced(order: Order): void }) {
  const { userToken } = useSession();
  const [currency, setCurrency] = useState("USD");
  const [amount, setAmount] = useState("622.43");
  const [reference, setReference] = useState("");
  const [drafts, setDrafts] = useState<Draft[]>([]);
  const [problem, setProblem] = useState<Problem>();
  const [wrong, setWrong] = useState<Record<string, string>>({});
  const [isSending, setSending] = useState(false);
  // The same for the same body, so that a second try after a lost answer places nothing twice.
  const key = useRef({ body: "", value: "" });
  const form = useFirstWrong(wrong);

  const items = drafts.map((draft) => itemOf(draft, currency));
  const hasItems = drafts.length > 0;
  const total = hasItems
    ? items.reduce<number | undefined>((sum, item) => sum !== undefined && item ? sum + item.quantity * item.unitPrice : undefined, 0)
    : parseMoney(amount, currency);

  const place = async (event: Event) => {
    event.preventDefault();
    const found: Record<string, string> = {};
    if (!hasItems && total === undefined) found["amount"] = `Write an amount such as ${example(currency)}.`;
    items.forEach((item, index) => {
      if (!item) found[`item-${index}`] = "Name it, with a whole quantity and a price.";
    });
    setWrong(found);
    if (total === undefined || Object.keys(found).length > 0) return;
    const body: Body = { currency };
    if (hasItems) body.items = items.filter((item) => item !== undefined);
    else body.bill = total;
    if (reference.trim()) body.reference = reference.trim();
    const text = JSON.stringify(body);
    if (key.current.body !== text) key.current = { body: text, value: crypto.randomUUID() };

    setSending(true);
    setProblem(undefined);
    try {
      const asked = { method: "POST", token: userToken, body, idempotencyKey: key.current.value } as const;
      const { data } = await ask<{ data: Order }>("/api/orders", asked);
      toast("The order is placed.");
      onPlaced(data);
    } catch (error) {
      setProblem(asProblem(error));
      setSending(false);
    }
  };

  return (
    <Dialog kind="window" label="New order" onClose={onClose}>
      <form ref={form} onSubmit={place} noValidate>
        {problem && (
          <ProblemNote problem={problem}>
            {problem.isUnanswered && <p>Place it again: it is carried out once, however often it is sent.</p>}
          </ProblemNote>
        )}
        <div class="row">
          {!hasItems && (
            <Field label="Amount" class="grow" problem={wrong["amount"]}>
              {(attributes) => (
                <input {...attributes} inputMode="decimal" autoComplete="off" class="digits" value={amount} onInput={(event) => setAmount(event.currentTarget.value)} />
              )}
            </Field>
          )}
          <Field label="Currency">
            {(attributes) => (
              <select {...attributes} value={currency} onChange={(event) => setCurrency(event.currentTarget.value)}>
                {CURRENCIES.map((code) => (
                  <option key={code}>{code}</option>
                ))}
              </select>
            )}
          </Field>
        </div>
        {drafts.map((draft, index) => (
          <ItemFields
            key={index}
            number={index + 1}
            draft={draft}
            problem={wrong[`item-${index}`]}
            onChange={(changed) => setDrafts(drafts.map((old, at) => (at === index ? { ...old, ...changed } : old)))}
            onRemove={() => setDrafts(drafts.filter((_, at) => at !== index))}
          />
        ))}
        {drafts.length < 100 && (
          <button type="button" class="quiet" onClick={() => setDrafts([...drafts, { sku: "", quantity: "1", price: "" }])}>
            {hasItems ? "Add another item" : "Add items instead of an amount"}
          </button>
        )}
        <Field label="Reference (optional)" hint="Your own name for it, up to 128 characters.">
          {(attributes) => (
            <input {...attributes} maxLength={128} autoComplete="off" value={reference} onInput={(event) => setReference(event.currentTarget.value)} />
          )}
        </Field>
        <div class="actions">
          <button type="submit" class="primary" {...(isSending && BUSY)}>
            {isSending ? "Placing…" : `Place order${total === undefined ? "" : ` of ${formatMoney(total, currency)}`}`}
          </button>
          <button type="button" onClick={onClose}>Not now</button>
        </div>
      </form>
    </Dialog>
  );
}

function ItemFields(props: {
  number: number;
  draft: Draft;
  problem: string | undefined;
  onChange(changed: Partial<Draft>): void;
  onRemove(): void;
}) {
  const { number, draft, problem, onChange, onRemove } = props;
  return (
    <fieldset class="item">
      <legend>Item {number}</legend>
      <div class="row">
        <Field label="Article (SKU)" class="grow" problem={problem}>
          {(attributes) => (
            <input {...attributes} maxLength={64} autoComplete="off" value={draft.sku} onInput={(event) => onChange({ sku: event.currentTarget.value })} />
          )}
        </Field>
        <Field label="Quantity" class="short">
          {(attributes) => (
            <input {...attributes} inputMode="numeric" autoComplete="off" class="digits" value={draft.quantity} onInput={(event) => onChange({ quantity: event.currentTarget.value })} />
          )}
        </Field>
        <Field label="Price each" class="short">
          {(attributes) => (
            <input {...attributes} inputMode="decimal" autoComplete="off" class="digits" value={draft.price} onInput={(event) => onChange({ price: event.currentTarget.value })} />
          )}
        </Field>
      </div>
      <button type="button" class="quiet small" onClick={onRemove}>Remove item {number}</button>
    </fieldset>
  );
}

function itemOf({ sku, quantity, price }: Draft, currency: string): Item | undefined {
  const unitPrice = parseMoney(price, currency);
  if (!sku.trim() || !/^\d{1,5}$/.test(quantity.trim()) || unitPrice === undefined) return undefined;
  return { sku: sku.trim(), quantity: Number(quantity), unitPrice };
}

function example(currency: string): string {
  return (622.43).toFixed(digitsOf(currency));
}
