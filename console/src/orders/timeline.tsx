// The history of an order, and what comes next.

import type { OrderEvent } from "../api";
import { declineInWords } from "../cards";
import { formatTime } from "../time";
import type { Story } from "./drawer";
import { Next } from "./table";

const CAUSES: Record<string, string> = {
  order_placed: "Placed",
  payment_paid: "Paid",
  payment_declined: "Card declined",
  payment_cancelled: "Payment closed, nothing was charged",
  payment_refunded: "Money given back",
  cancelled_by_user: "Cancelled",
  expired: "Expired unpaid",
  delivery_due: "Delivered",
};

export function Timeline({ order, events, payment }: Story) {
  const next = <Next order={order} />;
  const goesOn = order.status !== "delivered" && !(order.status === "cancelled" && order.paymentStatus !== "paid");
  const words = (event: OrderEvent, index: number) => {
    const text = CAUSES[event.cause] ?? event.cause.replaceAll("_", " ");
    const isLast = index === events.length - 1;
    const reason = event.cause === "payment_declined" && isLast && payment?.declineCode;
    return reason ? `${text}: ${declineInWords(reason)}` : text;
  };
  return (
    <ol class="timeline">
      {events.map((event, index) => (
        <li key={index} class={`dot-${event.status}`}>
          <span>{words(event, index)}</span>
          <time dateTime={event.at} class="faint small">
            {formatTime(event.at)}
          </time>
        </li>
      ))}
      {goesOn && (
        <li class="dot-next faint">
          <span>{next}</span>
        </li>
      )}
    </ol>
  );
}
