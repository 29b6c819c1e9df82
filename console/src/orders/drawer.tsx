// One order, whole: what it is, its money, its history, and what can be done with it.

import { useEffect, useState } from "preact/hooks";
import { type Order, type OrderEvent, Problem, type Payment, asProblem, ask } from "../api";
import { usePolled } from "../live";
import { formatMoney } from "../money";
import { Story as OperatorsStory } from "../operations/story";
import { BUSY, Dialog, ProblemNote, State, focus } from "../parts";
import { useSession } from "../session";
import { toast } from "../toasts";
import type { Feed } from "./feed";
import { MoneyFacts } from "./money-facts";
import { Pay } from "./pay";
import { Timeline } from "./timeline";

/** All that is known of one order. */
export interface Story {
  order: Order;
  events: OrderEvent[];
  /** Missing until the payments service has heard of the order. */
  payment?: Payment | undefined;
}

/** How often a story is read that goes on, or of which nothing is heard. */
const EVERY = 1000;

export function Drawer(props: { id: string; listed?: Order; feed: Feed; onChanged(): void; onClose(): void }) {
  const { id, listed, feed, onChanged, onClose } = props;
  const { userToken, operatorToken } = useSession();
  const [isMoving, setMoving] = useState(true);
  const story = usePolled((signal) => readStory(id, userToken, signal), isMoving || !feed.isHeard ? EVERY : 0, [id, userToken]);
  useEffect(() => setMoving(!story.value || isOnItsWay(story.value)), [story.value]);
  const { again } = story;
  const tellOf = (changed: Order[] | undefined) => {
    if (!changed || changed.some((order) => order.id === id)) again();
  };
  useEffect(() => feed.listen(tellOf), [feed.listen, id]);
  const order = story.value?.order ?? listed;
  const payment = story.value?.payment;
  const changed = () => {
    again();
    onChanged();
  };

  return (
    <Dialog kind="drawer" label={order?.reference ?? "Order"} onClose={onClose}>
      {story.problem && <ProblemNote problem={story.problem} />}
      {!order && !story.problem && <p class="faint" aria-busy="true">Reading the order…</p>}
      {order && (
        <>
          <div class="sum">
            <p class="amount">{formatMoney(order.bill, order.currency)}</p>
            <State of={order.status} />
          </div>
          <p class="faint small">
            <code>{order.id}</code>
          </p>
          <Items order={order} />
          {payment && <Pay order={order} payment={payment} isReached={!story.problem} onPaid={changed} />}
          {payment?.status === "processing" && order.status !== "cancelled" && (
            <p class="note" role="status">
              The card processor has not said yet whether the card was charged. It is asked until it does.
            </p>
          )}
          <MoneyFacts order={order} payment={payment} />
          <section aria-label="History">
            <h3>History</h3>
            {story.value ? <Timeline {...story.value} /> : <p class="faint" aria-busy="true">Reading…</p>}
          </section>
          {operatorToken && <BothServices id={id} token={operatorToken} />}
          {isCancellable(order) && <Cancel order={order} onCancelled={changed} />}
        </>
      )}
    </Dialog>
  );
}

async function readStory(id: string, token: string, signal: AbortSignal): Promise<Story> {
  const path = encodeURIComponent(id);
  const unlessUnknown = (error: unknown) => {
    if (error instanceof Problem && error.code === "payment_not_found") return undefined;
    throw error;
  };
  const [order, events, payment] = await Promise.all([
    ask<{ data: Order }>(`/api/orders/${path}`, { token, signal }),
    ask<{ data: OrderEvent[] }>(`/api/orders/${path}/events`, { token, signal }),
    ask<{ data: Payment }>(`/api/payments/${path}`, { token, signal }).catch(unlessUnknown),
  ]);
  return { order: order.data, events: events.data, payment: payment?.data };
}

/** Whether one service has yet to hear of the other, or of the card processor. */
function isOnItsWay({ order, payment }: Story): boolean {
  if (!payment || payment.status === "processing" || payment.status === "refunding") return true;
  return payment.status !== order.paymentStatus;
}

function isCancellable(order: Order): boolean {
  return order.status === "created" || order.status === "declined" || order.status === "confirmed";
}

function Items({ order }: { order: Order }) {
  if (!order.items?.length) return null;
  return (
    <table class="items">
      <caption class="unseen">Items</caption>
      <tbody>
        {order.items.map((item, index) => (
          <tr key={index}>
            <th scope="row">{item.description ?? item.sku}</th>
            <td class="number faint">
              {item.quantity} × {formatMoney(item.unitPrice, order.currency)}
            </td>
            <td class="number">{formatMoney(item.quantity * item.unitPrice, order.currency)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** For operators: attempts and the ledger too. Nothing is asked for until it is opened. */
function BothServices({ id, token }: { id: string; token: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <section aria-label="Both services">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Everything both services know</summary>
        {isOpen && <OperatorsStory id={id} token={token} />}
      </details>
    </section>
  );
}

/** Asks once more before it cancels. */
function Cancel({ order, onCancelled }: { order: Order; onCancelled(): void }) {
  const { userToken } = useSession();
  const [isAsking, setAsking] = useState(false);
  const [isSending, setSending] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const cancel = async () => {
    setSending(true);
    setProblem(undefined);
    try {
      await ask(`/api/orders/${order.id}`, { method: "DELETE", token: userToken });
      toast(order.paymentStatus === "paid" ? "The order is cancelled; the money goes back." : "The order is cancelled.");
      onCancelled();
    } catch (error) {
      setProblem(asProblem(error));
      onCancelled();
    }
    setSending(false);
    setAsking(false);
  };
  const isPaid = order.paymentStatus === "paid";
  return (
    <section class="ending" aria-label="Cancel the order">
      {problem && <ProblemNote problem={problem} />}
      {isAsking ? (
        <div class="actions">
          <button type="button" class="danger" ref={focus} onClick={cancel} {...(isSending && BUSY)}>
            {isSending ? "Cancelling…" : isPaid ? `Yes, cancel and give ${formatMoney(order.bill, order.currency)} back` : "Yes, cancel it"}
          </button>
          <button type="button" onClick={() => setAsking(false)}>Keep the order</button>
        </div>
      ) : (
        <button type="button" class="quiet danger-text" onClick={() => setAsking(true)}>
          Cancel the order
        </button>
      )}
    </section>
  );
}
