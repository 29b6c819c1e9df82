// The address behind the `#`: what is shown, so that it can be linked to and gone back to.

import { useEffect, useState } from "preact/hooks";
import { ORDER_STATUSES, type OrderStatus } from "./api";

export interface Route {
  view: "orders" | "operations";
  /** Whose drawer is open. */
  order?: string;
  status?: OrderStatus;
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, order] = path.split("/");
  const route: Route = { view: view === "operations" ? "operations" : "orders" };
  if (order) route.order = decodeURIComponent(order);
  const status = ORDER_STATUSES.find((known) => known === new URLSearchParams(query).get("status"));
  if (status) route.status = status;
  return route;
}

/** The address of a route, for links. */
export function href({ view, order, status }: Route): string {
  const path = order ? `${view}/${encodeURIComponent(order)}` : view;
  return status ? `#/${path}?status=${status}` : `#/${path}`;
}

export function go(route: Route): void {
  location.hash = href(route);
}

/** The current route. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const follow = () => setRoute(parse(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}
