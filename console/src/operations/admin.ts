// What operators ask the services, through the gateway and with their own token.

import { ask } from "../api";

export const SERVICES = ["orders", "payments"] as const;
export type Service = (typeof SERVICES)[number];

export interface Parked {
  id: number;
  queue: string;
  messageId: string | null;
  bytes: number;
  reason: string;
  replayOf: number | null;
  parkedAt: string;
}

/** With its body, in the format that loses nothing. */
export interface WholeParked extends Parked {
  bodyFormat: "json" | "text" | "base64";
  body: unknown;
}

/** A parked message and which service has it. */
export type Named = Parked & { service: Service };

export function path(service: Service, route: string): string {
  return `/admin/${service}/${route}`;
}

/** The oldest hundred of each service. */
export async function readParked(token: string, signal?: AbortSignal): Promise<Named[]> {
  const read = async (service: Service) => {
    const { data } = await ask<{ data: Parked[] }>(path(service, "parked?limit=100"), asked(token, signal));
    return data.map((parked) => ({ ...parked, service }));
  };
  return (await Promise.all(SERVICES.map(read))).flat();
}

function asked(token: string, signal: AbortSignal | undefined): { token: string; signal?: AbortSignal } {
  return signal ? { token, signal } : { token };
}
