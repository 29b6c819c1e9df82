// The table of orders. On a phone it has fewer columns, and what they tell stands below the others.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Order } from "../api";
import { formatMoney } from "../money";
import { Moment, ShortId, State, inWords } from "../parts";
import { type Route, go, href } from "../route";

export function OrdersTable(props: { orders: Order[] | undefined; isStale: boolean; route: Route; onPlace(): void }) {
  const { orders, isStale, route, onPlace } = props;
  if (orders?.length === 0) {
    return (
      <div class="empty">
        <p>{route.status ? `No order is ${route.status} now.` : "No orders yet."}</p>
        {!route.status && (
          <button type="button" onClick={onPlace}>
            Place the first one
          </button>
        )}
      </div>
    );
  }
  return (
    <table class={`orders ${isStale ? "stale" : ""}`} aria-busy={orders === undefined}>
      <caption class="unseen">Orders, the newest first</caption>
      <thead>
        <tr>
          <th scope="col">Order</th>
          <th scope="col" class="wide">State</th>
          <th scope="col" class="wide">Payment</th>
          <th scope="col" class="wide">Next</th>
          <th scope="col" class="number">Amount</th>
          <th scope="col" class="number wide">Placed</th>
        </tr>
      </thead>
      <tbody>
        {orders?.map((order) => <Row key={order.id} order={order} route={route} />) ?? <Placeholders />}
      </tbody>
    </table>
  );
}

function Row({ order, route }: { order: Order; route: Route }) {
  const hasChanged = useChanged(order.version);
  const address: Route = { ...route, order: order.id };
  return (
    <tr class={hasChanged ? "changed" : ""} onClick={() => go(address)}>
      <th scope="row">
        <a class={order.reference ? "named" : ""} href={href(address)} aria-haspopup="dialog">
          {order.reference ?? "Order"} <ShortId id={order.id} />
        </a>
        <span class="narrow faint small">
          <Moment at={order.createdAt} is="past" />
          <Next order={order} before=" · " />
        </span>
      </th>
      <td class="wide">
        <State of={order.status} />
      </td>
      <td class="wide">{inWords(order.paymentStatus)}</td>
      <td class="wide faint">
        <Next order={order} />
      </td>
      <td class="number">
        {formatMoney(order.bill, order.currency)}
        <span class="narrow small">
          <State of={order.status} />
        </span>
      </td>
      <td class="number wide faint">
        <Moment at={order.createdAt} is="past" />
      </td>
    </tr>
  );
}

/** What will happen by itself. */
export function Next({ order, before = "" }: { order: Order; before?: string }) {
  if (order.status === "confirmed" && order.deliverAt) {
    return <>{before}Delivery <Moment at={order.deliverAt} is="future" /></>;
  }
  if (order.status === "created" || order.status === "declined") {
    return <>{before}Expires <Moment at={order.expiresAt} is="future" /></>;
  }
  if (order.status === "cancelled" && order.paymentStatus === "paid") return <>{before}Refund under way</>;
  return null;
}

/** True for a moment after the version is another one, and never for what was there at first. */
function useChanged(version: number): boolean {
  const seen = useRef(version);
  const [hasChanged, setChanged] = useState(false);
  useEffect(() => {
    if (seen.current === version) return;
    seen.current = version;
    setChanged(true);
    const timer = setTimeout(() => setChanged(false), 1600);
    return () => clearTimeout(timer);
  }, [version]);
  return hasChanged;
}

function Placeholders() {
  return (
    <>
      {Array.from({ length: 6 }, (_, row) => (
        <tr key={row} class="placeholder" aria-hidden="true">
          <th scope="row"><span /></th>
          <td class="wide"><span /></td>
          <td class="wide"><span /></td>
          <td class="wide"><span /></td>
          <td class="number"><span /></td>
          <td class="number wide"><span /></td>
        </tr>
      ))}
    </>
  );
}
