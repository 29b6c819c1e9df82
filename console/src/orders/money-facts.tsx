// Where the money of an order is.

import type { Order, Payment } from "../api";
import { declineInWords } from "../cards";
import { formatMoney } from "../money";
import { State, inWords } from "../parts";

export function MoneyFacts({ order, payment }: { order: Order; payment: Payment | undefined }) {
  const money = (minor: number) => formatMoney(minor, order.currency);
  const isCharged = payment && ["paid", "refunding", "refunded"].includes(payment.status);
  const isBack = payment?.status === "refunded";
  return (
    <section aria-label="Payment">
      <h3>Payment</h3>
      {!payment && <p class="faint">The payments service has not heard of the order yet.</p>}
      {payment && (
        <dl class="facts">
          <dt>State</dt>
          <dd>
            <State of={payment.status} />
          </dd>
          {payment.declineCode && (
            <>
              <dt>Declined</dt>
              <dd>{inWords(declineInWords(payment.declineCode))}</dd>
            </>
          )}
          {payment.card && (
            <>
              <dt>Card</dt>
              <dd>
                {inWords(payment.card.brand)} <span class="mono">•••• {payment.card.last4}</span>
              </dd>
            </>
          )}
          <dt>Attempts</dt>
          <dd>{payment.attempts}</dd>
          <dt>Charged</dt>
          <dd>{money(isCharged ? order.bill : 0)}</dd>
          {(isBack || payment.status === "refunding") && (
            <>
              <dt>Given back</dt>
              <dd>{isBack ? money(order.bill) : "under way"}</dd>
            </>
          )}
        </dl>
      )}
    </section>
  );
}
