// Server-sent events, read with `fetch`: the browser's own `EventSource` cannot show a token.

import { Problem, problemOf, send } from "./api";

export interface StreamEvent {
  event: string;
  id: string;
  data: string;
}

/** The server sends something every 15 seconds. After this without a word it is not there any more. */
const SILENCE = 40_000;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15_000;

export interface Listener {
  event(event: StreamEvent): void;
  /** Everything that happens is heard from now on. */
  opened(): void;
  /** Nothing is heard until it is opened again. */
  lost(problem: Problem | undefined): void;
}

/** Follows a stream until the returned function is called; resumes it behind the last event whenever it is cut off. */
export function follow(path: string, token: string, listener: Listener): () => void {
  const end = new AbortController();
  let lastId = "";
  let pause = FIRST_PAUSE;
  let current: AbortController | undefined;
  let wake = () => {};

  const once = async () => {
    const mine = (current = new AbortController());
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(), SILENCE);
    };
    try {
      heard();
      const headers = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
      const answer = await send(path, { token, signal: mine.signal }, headers);
      if (!answer.ok || !answer.body) throw problemOf(answer, await answer.json().catch(() => undefined));
      pause = FIRST_PAUSE;
      listener.opened();
      for await (const event of eventsOf(answer.body, heard)) {
        if (event.id) lastId = event.id;
        if (event.data) listener.event(event);
      }
      // It ends by itself from time to time, to be resumed with a token that is still good.
      listener.lost(undefined);
    } catch (error) {
      if (!end.signal.aborted) listener.lost(error instanceof Problem ? error : undefined);
    } finally {
      clearTimeout(silence);
      mine.abort();
    }
  };
  const run = async () => {
    while (!end.signal.aborted) {
      await once();
      if (end.signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, pause * (0.75 + Math.random() / 2));
      });
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  };

  const goOffline = () => current?.abort();
  const goOnline = () => {
    pause = FIRST_PAUSE;
    wake();
  };
  addEventListener("offline", goOffline);
  addEventListener("online", goOnline);
  void run();
  return () => {
    end.abort();
    current?.abort();
    wake();
    removeEventListener("offline", goOffline);
    removeEventListener("online", goOnline);
  };
}

/** `heard` is told of every byte, a heartbeat too. */
async function* eventsOf(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<StreamEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? "";
    for (const block of blocks) yield eventOf(block);
  }
}

/** Of the lines between two empty ones (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export function eventOf(block: string): StreamEvent {
  const event: StreamEvent = { event: "message", id: "", data: "" };
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const [, name, value = ""] = /^(\w+)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === "data") data.push(value);
    if (name === "event" || name === "id") event[name] = value;
  }
  return { ...event, data: data.join("\n") };
}
