// One page of a user's orders, kept true.

import { useEffect, useState } from "preact/hooks";
import { type Order, type OrderStatus, type Page, ask } from "../api";
import { usePolled } from "../live";

const PAGE = 20;
const EVERY = 2000;

export interface Orders {
  orders?: Order[] | undefined;
  problem?: ReturnType<typeof usePolled>["problem"];
  /** Of the page, the first one is 1. */
  number: number;
  newer?: (() => void) | undefined;
  older?: (() => void) | undefined;
  again(): void;
}

export function useOrders(token: string, status: OrderStatus | undefined): Orders {
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
    EVERY,
    [token, status, cursor],
  );
  const next = page.value?.page.nextCursor;
  return {
    orders: page.value?.data,
    problem: page.problem,
    number: cursors.length + 1,
    newer: cursors.length > 0 ? () => setCursors(cursors.slice(0, -1)) : undefined,
    older: next ? () => setCursors([...cursors, next]) : undefined,
    again: page.again,
  };
}
