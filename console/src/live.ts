// How the page stays true: whether the server is heard, and what it tells meanwhile.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, asProblem } from "./api";

/** Whether the last that was asked was answered; shown in the header. */
export type Connection = "connecting" | "live" | "lost";

/** Told of each answer and of each that is missing. */
const listeners = new Set<(connection: Connection) => void>();

export function noteConnection(connection: Connection): void {
  listeners.forEach((tell) => tell(connection));
}

export function useConnection(): Connection {
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    const lose = () => setConnection("lost");
    listeners.add(setConnection);
    addEventListener("offline", lose);
    return () => {
      listeners.delete(setConnection);
      removeEventListener("offline", lose);
    };
  }, []);
  return connection;
}

/** What was read last, and what is wrong now: an old answer stays on the page while none can be had. */
export interface Read<T> {
  value?: T;
  problem?: Problem;
  /** Asks again now. */
  again(): void;
}

/** Reads once, then again every so many milliseconds, and at once when the network is back. */
export function usePolled<T>(
  read: (signal: AbortSignal) => Promise<T>,
  every: number,
  dependencies: unknown[],
): Read<T> {
  const [state, setState] = useState<{ value?: T; problem?: Problem }>({});
  const poke = useRef(() => {});
  useEffect(() => {
    setState({});
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let asking: AbortController | undefined;
    const turn = async () => {
      clearTimeout(timer);
      asking?.abort();
      const mine = (asking = new AbortController());
      try {
        const value = await read(mine.signal);
        if (stop.signal.aborted || mine.signal.aborted) return;
        failures = 0;
        setState({ value });
        noteConnection("live");
      } catch (error) {
        if (stop.signal.aborted || mine.signal.aborted) return;
        failures += 1;
        const problem = asProblem(error);
        setState((old) => ({ ...old, problem }));
        noteConnection(problem.isUnanswered ? "lost" : "live");
      }
      timer = setTimeout(turn, Math.min(every * 2 ** failures, 15_000));
    };
    poke.current = () => void turn();
    const wake = () => document.hidden || void turn();
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    void turn();
    return () => {
      stop.abort();
      asking?.abort();
      clearTimeout(timer);
      removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [every, ...dependencies]);
  const again = useCallback(() => poke.current(), []);
  return { ...state, again };
}
