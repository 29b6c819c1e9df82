// Short words about what has just been done, seen and read aloud.

import { useEffect, useState } from "preact/hooks";

const SHOWN_FOR = 5000;
let show: (text: string) => void = () => {};

/** Tells the person; only the last one stays. */
export function toast(text: string): void {
  show(text);
}

export function Toasts() {
  const [text, setText] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    show = (next) => {
      clearTimeout(timer);
      setText(next);
      timer = setTimeout(() => setText(""), SHOWN_FOR);
    };
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="toasts" role="status">
      {text && <p>{text}</p>}
    </div>
  );
}
