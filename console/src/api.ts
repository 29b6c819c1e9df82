// What the console asks the gateway for, and what it is answered.

/** An order as `GET /api/orders` shows it. */
export interface Order {
  id: string;
  status: OrderStatus;
  /** In minor units of `currency`. */
  bill: number;
  currency: string;
  items?: Item[];
  reference?: string;
  createdBy: string;
  paymentStatus: "pending" | "paid" | "declined" | "cancelled" | "refunded";
  deliverAt: string | null;
  expiresAt: string;
  cancelReason: "user" | "expired" | null;
  version: number;
  createdAt: string;
  updatedAt: string;
}

export const ORDER_STATUSES = ["created", "confirmed", "declined", "delivered", "cancelled"] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

export interface Item {
  sku: string;
  description?: string;
  quantity: number;
  unitPrice: number;
}

export interface NewOrder {
  bill?: number;
  currency: string;
  reference?: string;
  items?: Item[];
}

/** A payment as `GET /api/payments/{orderId}` shows it. */
export interface Payment {
  id: string;
  orderId: string;
  status: "pending" | "processing" | "paid" | "declined" | "cancelled" | "refunding" | "refunded";
  bill: number;
  currency: string;
  card: { brand: string; last4: string; expMonth: number; expYear: number } | null;
  attempts: number;
  declineCode: string | null;
  version: number;
  updatedAt: string;
}

/** One entry of an order's history. */
export interface OrderEvent {
  status: OrderStatus;
  at: string;
  cause: string;
}

export interface Page<T> {
  data: T[];
  page: { limit: number; nextCursor: string | null };
}

/** A refusal or failure, as the API tells it (RFC 9457), or that no answer came. */
export class Problem extends Error {
  constructor(
    /** 0 if there was no answer. */
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly requestId?: string,
    readonly fields: FieldProblem[] = [],
    readonly declineCode?: string,
  ) {
    super(title);
  }

  /** Nobody knows whether what was asked for was done. */
  get isUnanswered(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

export interface FieldProblem {
  /** JSON Pointer of the member of the body, as a fragment: `#/bill`. */
  pointer: string;
  detail: string;
}

/** What a request has besides its address. */
export interface Asked {
  method?: "GET" | "POST" | "DELETE";
  token: string;
  body?: unknown;
  /** With it, a request that is sent again is carried out once. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** How far the clock of the server is ahead of ours, in milliseconds. */
let ahead = 0;

/** The time by the server's clock. */
export function now(): number {
  return Date.now() + ahead;
}

/** The answer's body. Throws a `Problem`, or the reason of an abort. */
export async function ask<T>(path: string, asked: Asked): Promise<T> {
  const answer = await send(path, asked);
  const body: unknown = await answer.json().catch(() => undefined);
  if (!answer.ok || body === undefined) throw problemOf(answer, body);
  return body as T;
}

/** The answer itself, whatever it is. */
export async function send(path: string, asked: Asked, headers: Record<string, string> = {}): Promise<Response> {
  const { method = "GET", token, body, idempotencyKey, signal } = asked;
  const request: RequestInit = { method, cache: "no-store", credentials: "omit", signal: signal ?? null };
  request.headers = { Accept: "application/json", Authorization: `Bearer ${token}`, ...headers };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  if (idempotencyKey) request.headers["Idempotency-Key"] = idempotencyKey;
  const answer = await fetch(path, request).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "No answer", "The server cannot be reached. Check the connection.");
  });
  noteClock(answer);
  return answer;
}

/** The problem that an answer tells of. */
export function problemOf(answer: Response, body: unknown): Problem {
  const told = (typeof body === "object" && body !== null ? body : {}) as Partial<Problem> & { errors?: FieldProblem[] };
  return new Problem(
    answer.status,
    told.code ?? "unknown",
    told.title ?? "Something went wrong",
    told.detail ?? `The server answered ${answer.status}.`,
    told.requestId ?? answer.headers.get("X-Request-Id") ?? undefined,
    told.errors ?? [],
    told.declineCode,
  );
}

/** Whatever was thrown, as a problem that can be shown. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "console", "The console failed", String(error));
}

/** The header tells whole seconds, so a difference of less than two says nothing. */
function noteClock(answer: Response): void {
  const theirs = Date.parse(answer.headers.get("Date") ?? "");
  const difference = theirs + 500 - Date.now();
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) < 2000 ? 0 : difference;
}
