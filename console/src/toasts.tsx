// Short words about what has just been done, seen and read aloud.

import { useEffect, useState } from "preact/hooks";

const SHOWN_FOR = 5000;
const listeners = new Set<(text: string) => void>();
let shown = "";
let timer: ReturnType<typeof setTimeout> | undefined;

/** Tells the person; only the last one stays. */
export function toast(text: string): void {
  clearTimeout(timer);
  tell(text);
  timer = setTimeout(() => tell(""), SHOWN_FOR);
}

function tell(text: string): void {
  shown = text;
  listeners.forEach((show) => show(text));
}

/** Where they are shown: on the page, and in each dialog, behind which the page can be neither seen nor heard. */
export function Toasts() {
  const [text, setText] = useState(shown);
  useEffect(() => {
    listeners.add(setText);
    return () => void listeners.delete(setText);
  }, []);
  return (
    <div class="toasts" role="status">
      {text && <p>{text}</p>}
    </div>
  );
}
