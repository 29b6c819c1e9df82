// How both services stand, and how that was in the last minutes, as far as this page has seen it.

import { ask, problemOf, send } from "../api";
import { SERVICES, type Service, path } from "./admin";
import { Counters, FORGOTTEN_AFTER, type Sample, find, parseMetrics, sum } from "./metrics";

interface OfEach {
  messages: { parkedRows: number; outboxEvents: number; outboxOldestAgeSeconds: number };
}

interface OrdersOverview extends OfEach {
  backlog: {
    deliveriesOverdue: number;
    deliveriesOverdueAgeSeconds: number;
    expiriesOverdue: number;
    expiriesOverdueAgeSeconds: number;
  };
  orders: ByStatus;
}

interface PaymentsOverview extends OfEach {
  backlog: { inDoubt: number; inDoubtAgeSeconds: number; refunding: number; refundingAgeSeconds: number };
  payments: ByStatus;
  lastReconciliation: Reconciliation | null;
}

/** Of the newest rows only. */
export interface ByStatus {
  newest: number;
  byStatus: Record<string, number>;
}

/** What the last comparison of all books has found. */
export interface Reconciliation {
  differences: number;
  compared: Record<string, number>;
  /** In minor units, by account and currency: `revenue USD`. */
  balances: Record<string, number>;
  finishedAt: string;
}

export interface Overview {
  orders: OrdersOverview;
  payments: PaymentsOverview;
  metrics: Record<Service, Sample[]>;
}

/** What was between two looks. What is not known is missing. */
export interface Moment {
  from: number;
  to: number;
  /** In a second. */
  placed?: number | undefined;
  paid?: number | undefined;
  /** In seconds, within which 95 of 100 were answered. */
  placing?: number | undefined;
  paying?: number | undefined;
  /** At its end; after a long time without a look nobody can say how it was meanwhile. */
  inOutboxes?: number | undefined;
  inQueues?: number | undefined;
  /** How many seconds after they were made events were applied, by their names. */
  delays: Record<string, number>;
}

/** The queues that events are consumed from, and who does. */
export const QUEUES = [
  { event: "payment-create-event", service: "payments" },
  { event: "payment-cancel-event", service: "payments" },
  { event: "payment-processed-event", service: "orders" },
] as const;

/** Both services are asked this often while the page can be seen, in milliseconds. */
export const EVERY = 3000;
/** The shortest time between two looks that is told. */
const SHORTEST = 1000;
/** How much is drawn at most. */
export const WINDOW = 5 * 60_000;

const REQUESTS = "http_server_request_duration_seconds";
const PLACE = { method: "POST", route: "/api/orders", status: "201" };
const PAY = { method: "POST", route: "/api/payments/pay/{orderId}", status: "200" };

/** Lasts as long as the page: whoever looks at the orders meanwhile finds it when they are back. */
const counters = new Counters();
let moments: Moment[] = [];
let lastLook = 0;

export function momentsSeen(): Moment[] {
  return moments;
}

export async function readOverview(token: string, signal: AbortSignal): Promise<Overview> {
  const overview = <T>(service: Service) => ask<{ data: T }>(path(service, "overview"), { token, signal });
  const [orders, payments, ofOrders, ofPayments] = await Promise.all([
    overview<OrdersOverview>("orders"),
    overview<PaymentsOverview>("payments"),
    readMetrics("orders", token, signal),
    readMetrics("payments", token, signal),
  ]);
  const read = { orders: orders.data, payments: payments.data, metrics: { orders: ofOrders, payments: ofPayments } };
  note(read);
  return read;
}

async function readMetrics(service: Service, token: string, signal: AbortSignal): Promise<Sample[]> {
  const answer = await send(path(service, "guarded/metrics"), { token, signal }, { Accept: "*/*" });
  if (!answer.ok) throw problemOf(answer, await answer.json().catch(() => undefined));
  return parseMetrics(await answer.text());
}

function note({ orders, payments, metrics }: Overview): void {
  const to = Date.now();
  // Of so short a time, one order would be many in a second.
  if (to - lastLook < SHORTEST) return;
  SERVICES.forEach((service) => counters.note(service, metrics[service], to));
  if (lastLook > 0) {
    const wasAway = to - lastLook > FORGOTTEN_AFTER;
    const inQueues = QUEUES.map(({ event, service }) => waitingIn(metrics[service], event) ?? NaN).reduce((all, some) => all + some);
    const moment: Moment = {
      from: lastLook,
      to,
      placed: counters.perSecond("orders", `${REQUESTS}_count`, PLACE),
      paid: counters.perSecond("payments", `${REQUESTS}_count`, PAY),
      placing: counters.within(0.95, "orders", REQUESTS, PLACE),
      paying: counters.within(0.95, "payments", REQUESTS, PAY),
      inOutboxes: wasAway ? undefined : orders.messages.outboxEvents + payments.messages.outboxEvents,
      inQueues: wasAway || Number.isNaN(inQueues) ? undefined : inQueues,
      delays: Object.fromEntries(QUEUES.flatMap(({ event, service }) => delayOf(service, event))),
    };
    moments = [...moments.filter((old) => old.to > to - WINDOW), moment];
  }
  lastLook = to;
}

/** Unknown while RabbitMQ does not say. */
export function waitingIn(samples: Sample[], queue: string): number | undefined {
  const found = find(samples, "queue_messages_ready", { queue });
  return found.length > 0 ? sum(found) : undefined;
}

function delayOf(service: Service, event: string): [string, number][] {
  const count = counters.perSecond(service, "event_age_seconds_count", { event });
  const seconds = counters.perSecond(service, "event_age_seconds_sum", { event });
  return count && seconds !== undefined ? [[event, seconds / count]] : [];
}
