// What happens to a user's orders, as soon as it does.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Order } from "../api";
import { noteConnection } from "../live";
import { follow } from "../stream";

export interface Feed {
  /** While nothing is heard, whoever wants to know has to ask. */
  isHeard: boolean;
  /** Is told of orders that have changed, or of none when anything may have; returns how to leave. */
  listen(listener: Listener): () => void;
}

type Listener = (changed: Order[] | undefined) => void;

/** How long changes are collected, so that many at once are shown at once. */
const COLLECT = 250;

export function useFeed(token: string): Feed {
  const [isHeard, setHeard] = useState(false);
  const listeners = useRef(new Set<Listener>());
  useEffect(() => {
    let collected: Order[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tell = (changed: Order[] | undefined) => listeners.current.forEach((listener) => listener(changed));
    const tellCollected = () => {
      timer = undefined;
      tell(collected);
      collected = [];
    };
    const leave = follow("/api/orders/stream", token, {
      opened() {
        setHeard(true);
        noteConnection("live");
      },
      lost() {
        setHeard(false);
      },
      event({ event, data }) {
        if (event === "orders") tell(undefined);
        if (event !== "order") return;
        collected.push(JSON.parse(data) as Order);
        timer ??= setTimeout(tellCollected, COLLECT);
      },
    });
    return () => {
      leave();
      clearTimeout(timer);
      setHeard(false);
    };
  }, [token]);
  const listen = useMemo(
    () => (listener: Listener) => {
      listeners.current.add(listener);
      return () => void listeners.current.delete(listener);
    },
    [],
  );
  return { isHeard, listen };
}
