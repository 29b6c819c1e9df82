// The view of the orders: which of them, in pages, and what can be begun from here.

import { useEffect, useState } from "preact/hooks";
import { ORDER_STATUSES, type Order } from "../api";
import { ProblemNote, inWords } from "../parts";
import { type Route, go, href } from "../route";
import { useSession } from "../session";
import { Drawer } from "./drawer";
import { useFeed } from "./feed";
import { useOrders } from "./list";
import { NewOrder } from "./new-order";
import { OrdersTable } from "./table";

export function Orders({ route }: { route: Route }) {
  const { userToken } = useSession();
  const [isPlacing, setPlacing] = useState(false);
  const feed = useFeed(userToken);
  const list = useOrders(userToken, route.status, feed);
  const { orders, problem } = list;

  // What was read in the list opens without a wait.
  const [opened, setOpened] = useState<Order>();
  useEffect(() => {
    const listed = orders?.find((order) => order.id === route.order);
    if (listed) setOpened(listed);
  }, [orders, route.order]);
  const close = () => go({ ...route, order: "" });

  return (
    <>
      <div class="view-head">
        <h1>Orders</h1>
        <button type="button" class="primary" aria-haspopup="dialog" onClick={() => setPlacing(true)}>
          New order
        </button>
      </div>
      <Filter route={route} />
      {problem && <ProblemNote problem={problem} />}
      <OrdersTable orders={orders} isStale={problem !== undefined} route={route} onPlace={() => setPlacing(true)} />
      <Pages {...list} />
      {isPlacing && (
        <NewOrder
          onClose={() => setPlacing(false)}
          onPlaced={(order) => {
            setPlacing(false);
            list.again();
            setOpened(order);
            go({ view: "orders", order: order.id, ...(route.status ? { status: route.status } : {}) });
          }}
        />
      )}
      {route.order && !isPlacing && (
        <Drawer
          key={route.order}
          id={route.order}
          {...(opened?.id === route.order ? { listed: opened } : {})}
          feed={feed}
          onChanged={list.again}
          onClose={close}
        />
      )}
    </>
  );
}

function Filter({ route }: { route: Route }) {
  return (
    <nav class="filter" aria-label="Orders by state">
      <a href={href({ view: "orders" })} aria-current={route.status ? undefined : "true"}>
        All
      </a>
      {ORDER_STATUSES.map((status) => (
        <a key={status} href={href({ view: "orders", status })} aria-current={route.status === status ? "true" : undefined}>
          {inWords(status)}
        </a>
      ))}
    </nav>
  );
}

function Pages({ number, newer, older, orders }: ReturnType<typeof useOrders>) {
  if (!newer && !older) return null;
  return (
    <nav class="pages" aria-label="Pages">
      <button type="button" disabled={!newer} onClick={newer}>
        Newer
      </button>
      <span class="faint">
        Page {number}
        {orders ? `, ${orders.length} orders` : ""}
      </span>
      <button type="button" disabled={!older} onClick={older}>
        Older
      </button>
    </nav>
  );
}
