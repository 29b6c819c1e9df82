// What the view of the operations is made of.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

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
