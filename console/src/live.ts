// How the page stays true: whether the server is heard, and what is asked for again and again.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, asProblem } from "./api";

/** Whether the last that was asked was answered; shown in the header. */
export type Connection = "connecting" | "live" | "lost";

const listeners = new Set<(connection: Connection) => void>();

/** To be told of each answer, and of each that is missing. */
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
  /** Changes what was read by what was heard since. */
  update(change: (value: T) => T): void;
}

const LONGEST_PAUSE = 15_000;

/** Reads once for the same dependencies, and again every so many milliseconds, 0 for never; later after a failure, and at
 * once when the network or the person is back. */
export function usePolled<T>(read: (signal: AbortSignal) => Promise<T>, every: number, dependencies: unknown[]): Read<T> {
  const [state, setState] = useState<{ value?: T; problem?: Problem }>({});
  const pause = useRef(every);
  const ask = useRef(() => {});
  useEffect(() => {
    setState({});
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let asking = new AbortController();
    const turn = async () => {
      clearTimeout(timer);
      asking.abort();
      const mine = (asking = new AbortController());
      try {
        const value = await read(mine.signal);
        if (mine.signal.aborted) return;
        failures = 0;
        setState({ value });
        noteConnection("live");
      } catch (error) {
        if (mine.signal.aborted) return;
        failures += 1;
        const problem = asProblem(error);
        setState((old) => ({ ...old, problem }));
        noteConnection(problem.isUnanswered ? "lost" : "live");
      }
      const next = failures > 0 ? Math.max(pause.current, 1000) * 2 ** failures : pause.current;
      // Nobody looks at a hidden page.
      if (next > 0) timer = setTimeout(() => document.hidden || void turn(), Math.min(next, LONGEST_PAUSE));
    };
    ask.current = () => void turn();
    const wake = () => document.hidden || void turn();
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    void turn();
    return () => {
      asking.abort();
      clearTimeout(timer);
      removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
    };
  }, dependencies);
  useEffect(() => {
    if (pause.current === every) return;
    pause.current = every;
    ask.current();
  }, [every]);
  const again = useCallback(() => ask.current(), []);
  const update = useCallback((change: (value: T) => T) => {
    setState((old) => (old.value === undefined ? old : { ...old, value: change(old.value) }));
  }, []);
  return { ...state, again, update };
}
