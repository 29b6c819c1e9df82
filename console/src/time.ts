// Times as people say them, kept true while they pass.

import { useEffect, useState } from "preact/hooks";
import { now } from "./api";

const UNITS: [string, number][] = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** `3 min`; seconds in whole ones. */
export function formatSpan(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit}`;
}

export function ago(at: string): string {
  const span = now() - Date.parse(at);
  return span < 1500 ? "just now" : `${formatSpan(span)} ago`;
}

export function until(at: string): string {
  const span = Date.parse(at) - now();
  return span < 500 ? "any moment" : `in ${formatSpan(span)}`;
}

/** `14:03:22`, with the day unless it is today. */
export function formatTime(at: string): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB");
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? time : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
}

const listeners = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

/** Renders the component again each second, while the page can be seen. */
export function useSeconds(): void {
  const [, setTick] = useState(0);
  useEffect(() => {
    const listener = () => setTick((tick) => tick + 1);
    listeners.add(listener);
    ticking ??= setInterval(() => document.hidden || listeners.forEach((tell) => tell()), 1000);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) {
        clearInterval(ticking);
        ticking = undefined;
      }
    };
  }, []);
}
