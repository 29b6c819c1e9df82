// Who uses the console: kept for this tab only, and gone with it.

import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";

export const DEMO_TOKEN = "thisisajwttoken";

export interface Session {
  /** Whose orders are shown and placed. */
  userToken: string;
  /** Opens the operations; empty until it is given. */
  operatorToken: string;
}

export interface Signing extends Session {
  change(changed: Partial<Session>): void;
}

const KEY = "console-session";

function stored(): Session {
  const nobody = { userToken: DEMO_TOKEN, operatorToken: "" };
  try {
    return { ...nobody, ...(JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<Session>) };
  } catch {
    return nobody;
  }
}

/** The session and how to change it, for the root of the page. */
export function useNewSession(): Signing {
  const [session, setSession] = useState(stored);
  const change = (changed: Partial<Session>) => {
    const next = { ...session, ...changed };
    try {
      sessionStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      // A browser that keeps nothing: the token lasts until the page is loaded again.
    }
    setSession(next);
  };
  return { ...session, change };
}

export const SessionContext = createContext<Signing | undefined>(undefined);

export function useSession(): Signing {
  const session = useContext(SessionContext);
  if (!session) throw new Error("no session");
  return session;
}
