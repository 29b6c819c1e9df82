// One page of a user's orders, kept true: by the feed, or by asking every two seconds while nothing is heard.

import { useEffect, useState } from "preact/hooks";
import { type Order, type OrderStatus, type Page, ask } from "../api";
import { type Read, usePolled } from "../live";
import type { Feed } from "./feed";

const PAGE = 20;
const EVERY = 2000;

export interface Orders {
  orders?: Order[] | undefined;
  problem?: Read<unknown>["problem"];
  /** Of the page, the first one is 1. */
  number: number;
  newer?: (() => void) | undefined;
  older?: (() => void) | undefined;
  again(): void;
}

export function useOrders(token: string, status: OrderStatus | undefined, feed: Feed): Orders {
  // The cursors of the pages that were gone through.
  const [cursors, setCursors] = useState<string[]>([]);
  useEffect(() => setCursors([]), [token, status]);
  const cursor = cursors.at(-1);
  const page = usePolled<Page<Order>>(
    (signal) => {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (status) query.set("status", status);
      if (cursor) query.set("cursor", cursor);
      return ask(`/api/orders?${query}`, { token, signal });
    },
    feed.isHeard ? 0 : EVERY,
    [token, status, cursor],
  );
  const { again, update } = page;
  useEffect(
    () =>
      feed.listen((changed) => {
        if (!changed) return again();
        update(({ data, page }) => {
          const merged = changed.reduce((list, order) => merge(list, order, status, !cursor), data);
          // It is full: read anew, it says what leads on to the others.
          if (merged.length > PAGE) again();
          return { data: merged, page };
        });
      }),
    [feed.listen, status, cursor],
  );
  const next = page.value?.page.nextCursor;
  return {
    orders: page.value?.data,
    problem: page.problem,
    number: cursors.length + 1,
    newer: cursors.length > 0 ? () => setCursors(cursors.slice(0, -1)) : undefined,
    older: next ? () => setCursors([...cursors, next]) : undefined,
    again,
  };
}

/** The page with this order as it is now. A new one is put in on the first page only. */
export function merge(list: Order[], order: Order, status: OrderStatus | undefined, isFirst: boolean): Order[] {
  const known = list.find(({ id }) => id === order.id);
  if (known && known.version >= order.version) return list;
  const others = list.filter(({ id }) => id !== order.id);
  if (status && order.status !== status) return others;
  if (known) return list.map((old) => (old.id === order.id ? order : old));
  if (!isFirst) return list;
  const isOlder = (other: Order) => Date.parse(other.createdAt) < Date.parse(order.createdAt);
  const at = others.findIndex(isOlder);
  const place = at < 0 ? others.length : at;
  return [...others.slice(0, place), order, ...others.slice(place)];
}
