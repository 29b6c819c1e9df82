// The frame of the page: its header, its two views, and who uses it.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Connection, useConnection } from "./live";
import { Operations } from "./operations/operations";
import { Orders } from "./orders/orders";
import { Dialog, Field } from "./parts";
import { href, useRoute } from "./route";
import { DEMO_TOKEN, SessionContext, useNewSession, useSession } from "./session";
import { Toasts } from "./toasts";

const VIEWS = [
  { view: "orders", label: "Orders" },
  { view: "operations", label: "Operations" },
] as const;

export function App() {
  const session = useNewSession();
  const route = useRoute();
  const label = VIEWS.find(({ view }) => view === route.view)?.label ?? "";
  useEffect(() => {
    document.title = `${label} · Order processing`;
  }, [label]);
  return (
    <SessionContext.Provider value={session}>
      <header class="top">
        <div class="top-inner">
          <a class="brand" href={href({ view: "orders" })}>
            <img src="/console.svg" alt="" width="22" height="22" />
            <span>Order processing</span>
          </a>
          <nav aria-label="Views">
            {VIEWS.map(({ view, label }) => (
              <a key={view} href={href({ view })} aria-current={route.view === view ? "page" : undefined}>
                {label}
              </a>
            ))}
          </nav>
          <ConnectionSign />
          <User />
        </div>
      </header>
      <main>{route.view === "orders" ? <Orders route={route} /> : <Operations />}</main>
      <footer class="faint small">
        <a href="/api/docs">API</a>
        <a href="/api/docs/problems">Problems</a>
        <a href="/api/openapi.json">OpenAPI</a>
        <span>No money moves: a sandbox plays the card processor.</span>
      </footer>
      <Toasts />
    </SessionContext.Provider>
  );
}

const SIGNS: Record<Connection, string> = { connecting: "Connecting", live: "Live", lost: "Connection lost, trying again" };

function ConnectionSign() {
  const connection = useConnection();
  return (
    <p class={`connection connection-${connection}`} role="status">
      {SIGNS[connection]}
    </p>
  );
}

/** Whose orders these are: the demo user's, or those of a token that was typed in. */
function User() {
  const { userToken, change } = useSession();
  const [isOpen, setOpen] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const use = (token: string) => {
    change({ userToken: token.trim() || DEMO_TOKEN });
    setOpen(false);
  };
  return (
    <>
      <button type="button" class="quiet user" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        {userToken === DEMO_TOKEN ? "Demo user" : "Own token"}
      </button>
      {isOpen && (
        <Dialog kind="window" label="Whose orders" onClose={() => setOpen(false)}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              use(field.current?.value ?? "");
            }}
          >
            <Field label="Access token" hint="Kept in this tab until it is closed. Empty is the demo user.">
              {(attributes) => (
                <input {...attributes} ref={field} type="text" class="mono" autoComplete="off" spellcheck={false} defaultValue={userToken} />
              )}
            </Field>
            <div class="actions">
              <button type="submit" class="primary">Use this token</button>
              <button type="button" onClick={() => use("")}>Be the demo user</button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}
