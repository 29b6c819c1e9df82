// Paying an order, with a card of the sandbox or one that is typed in.
//
// A typed card is in its three inputs and nowhere else: they are emptied before it is sent, and after that only the
// request has it.

import { useRef, useState } from "preact/hooks";
import { type Order, type Payment, Problem, asProblem, ask } from "../api";
import { type Card, SANDBOX_CARDS, declineInWords, sandboxCard } from "../cards";
import { formatMoney } from "../money";
import { BUSY, Field, ProblemNote, inWords, useFirstWrong } from "../parts";
import { useSession } from "../session";
import { toast } from "../toasts";

const TYPED = "typed";

export function Pay(props: { order: Order; payment: Payment; isReached: boolean; onPaid(): void }) {
  const { order, payment, isReached, onPaid } = props;
  const { userToken } = useSession();
  const [choice, setChoice] = useState(SANDBOX_CARDS[0]?.cards[0]?.number ?? TYPED);
  const [problem, setProblem] = useState<Problem>();
  const [isSending, setSending] = useState(false);
  const number = useRef<HTMLInputElement>(null);
  const expiry = useRef<HTMLInputElement>(null);
  const cvt = useRef<HTMLInputElement>(null);
  const form = useFirstWrong(problem);

  // It stays while it sends, and with what went wrong until that is over.
  const isOver = payment.status !== "processing" || order.status === "cancelled";
  if (!isPayable(order, payment) && !isSending && (isOver || !problem)) return null;

  const takeTypedCard = (): Card => {
    const take = (field: { current: HTMLInputElement | null }) => {
      const text = field.current?.value ?? "";
      if (field.current) field.current.value = "";
      return text;
    };
    return { number: take(number), expiry: take(expiry), cvt: take(cvt) };
  };

  const pay = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    setProblem(undefined);
    try {
      const { data } = await ask<{ data: Payment }>(`/api/payments/pay/${order.id}`, {
        method: "POST",
        token: userToken,
        body: { creditCardDetails: choice === TYPED ? takeTypedCard() : sandboxCard(choice) },
        idempotencyKey: crypto.randomUUID(),
      });
      toast(data.status === "paid" ? "The order is paid." : "The card processor has not answered yet.");
    } catch (error) {
      setProblem(asProblem(error));
    }
    setSending(false);
    onPaid();
  };

  return (
    <section aria-label="Pay" class="pay">
      <h3>{payment.status === "declined" ? "Pay with another card" : "Pay"}</h3>
      <form ref={form} onSubmit={pay} autoComplete="off" noValidate>
        {problem && (problem.isUnanswered && isReached ? <Unanswered payment={payment} /> : <Refusal problem={problem} />)}
        <Field label="Card">
          {(attributes) => (
            <select {...attributes} value={choice} onChange={(event) => setChoice(event.currentTarget.value)}>
              {SANDBOX_CARDS.map(({ group, cards }) => (
                <optgroup key={group} label={group}>
                  {cards.map((card) => (
                    <option key={card.number} value={card.number}>
                      {card.label} (•••• {card.number.slice(-4)})
                    </option>
                  ))}
                </optgroup>
              ))}
              <option value={TYPED}>Type a card…</option>
            </select>
          )}
        </Field>
        {choice === TYPED && (
          <div class="row">
            <Field label="Card number" class="grow" problem={wrongIn(problem, "number")}>
              {(attributes) => <input {...attributes} ref={number} inputMode="numeric" autoComplete="off" class="digits" maxLength={40} />}
            </Field>
            <Field label="Expiry" class="short" problem={wrongIn(problem, "expiry")}>
              {(attributes) => <input {...attributes} ref={expiry} placeholder="MM/YY" autoComplete="off" class="digits" maxLength={12} />}
            </Field>
            <Field label="Security code" class="short" problem={wrongIn(problem, "cvt")}>
              {(attributes) => <input {...attributes} ref={cvt} inputMode="numeric" autoComplete="off" class="digits" maxLength={4} />}
            </Field>
          </div>
        )}
        <button type="submit" class="primary" {...(isSending && BUSY)}>
          {isSending ? "Paying…" : `Pay ${formatMoney(order.bill, order.currency)}`}
        </button>
      </form>
    </section>
  );
}

function isPayable(order: Order, payment: Payment): boolean {
  const isOpen = order.status === "created" || order.status === "declined";
  return isOpen && (payment.status === "pending" || payment.status === "declined");
}

/** What the service has found wrong with a part of the card. */
function wrongIn(problem: Problem | undefined, part: string): string | undefined {
  const found = problem?.fields.find(({ pointer }) => pointer.endsWith(`/${part}`));
  return found && `${inWords(found.detail)}.`;
}

/** The server is heard again, so the payment tells what became of it. */
function Unanswered({ payment }: { payment: Payment }) {
  if (payment.status === "processing") return null;
  return (
    <p class="note note-problem" role="alert">
      <strong>No answer came,</strong> and nothing was charged so far. Pay again: the order is charged once at most.
    </p>
  );
}

function Refusal({ problem }: { problem: Problem }) {
  if (problem.declineCode) {
    return (
      <div class="note note-problem" role="alert">
        <p>
          <strong>The card was declined:</strong> {declineInWords(problem.declineCode)}. Nothing was charged; try another
          card.
        </p>
      </div>
    );
  }
  if (problem.fields.length > 0) {
    return (
      <p class="note note-problem" role="alert">
        <strong>That is no card.</strong> Nothing was charged. Type it again: it was not kept here.
      </p>
    );
  }
  return (
    <ProblemNote problem={problem}>
      {problem.isUnanswered && <p>Whether the card was charged is shown here as soon as the server can be reached.</p>}
    </ProblemNote>
  );
}
