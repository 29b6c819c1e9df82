// What the view of the operations is made of.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { formatSpan } from "../time";

/** A part of the view, with its heading. */
export function Panel({ title, kind = "", children }: { title: string; kind?: string; children: ComponentChildren }) {
  const heading = useId();
  return (
    <section class={`panel ${kind}`} aria-labelledby={heading}>
      <h2 id={heading}>{title}</h2>
      {children}
    </section>
  );
}

export function formatCount(count: number): string {
  return count.toLocaleString("en");
}

/** `43 ms`, `2.4 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds >= 60) return formatSpan(seconds * 1000);
  return seconds < 1 ? `${Number((seconds * 1000).toPrecision(2))} ms` : `${Number(seconds.toPrecision(2))} s`;
}
