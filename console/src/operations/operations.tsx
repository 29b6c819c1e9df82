// The operations: how both services stand and what waits for a hand, for whoever has the operators' token.

import { useRef, useState } from "preact/hooks";
import { type Problem, asProblem } from "../api";
import { usePolled } from "../live";
import { Field, ProblemNote, useFirstWrong, useHeading } from "../parts";
import { useSession } from "../session";
import { readParked } from "./admin";
import { Books } from "./books";
import { Events } from "./events";
import { InDoubt } from "./in-doubt";
import { EVERY, momentsSeen, readOverview } from "./overview";
import { ParkedMessages } from "./parked";
import { Speed } from "./speed";
import { States } from "./states";
import { StoryDrawer } from "./story";
import { Verdict } from "./verdict";

export function Operations() {
  const { operatorToken, change } = useSession();
  const close = () => change({ operatorToken: "" });
  return operatorToken ? <Dashboard token={operatorToken} onClose={close} /> : <Gate />;
}

/** Lets nobody in whom the services would not. */
function Gate() {
  const { change } = useSession();
  const field = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<Problem>();
  const form = useFirstWrong(problem);
  const heading = useHeading<HTMLHeadingElement>();
  const isWrong = problem?.code === "unauthorized";
  const enter = async (event: Event) => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    setProblem(undefined);
    try {
      if (token) await readParked(token);
      change({ operatorToken: token });
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>Operations</h1>
      <form ref={form} class="gate" onSubmit={enter} autoComplete="off">
        <p>For operators: how both services stand, whoever the orders belong to, and what waits for a hand.</p>
        {problem && !isWrong && <ProblemNote problem={problem} />}
        <Field label="Operator token" problem={isWrong ? "This is not the operators' token." : undefined} hint="The ADMIN_TOKEN of the services, kept in this tab until it is closed. A demo system has admin-demo-token.">
          {(attributes) => <input {...attributes} ref={field} type="text" class="mono masked" autoComplete="off" spellcheck={false} />}
        </Field>
        <button type="submit" class="primary">Open</button>
      </form>
    </>
  );
}

function Dashboard({ token, onClose }: { token: string; onClose(): void }) {
  const { value: overview, problem } = usePolled((signal) => readOverview(token, signal), EVERY, [token]);
  const moments = momentsSeen();
  const heading = useHeading<HTMLHeadingElement>();
  return (
    <>
      <div class="view-head">
        <h1 ref={heading} tabIndex={-1}>Operations</h1>
        <Find token={token} />
        <button type="button" onClick={onClose}>Sign out</button>
      </div>
      {problem && <ProblemNote problem={problem} />}
      {overview && !problem && <Verdict overview={overview} />}
      <div class={`panels ${problem ? "stale" : ""}`}>
        {overview && <States overview={overview} />}
        {overview && <Speed moments={moments} />}
        <InDoubt token={token} />
        {overview && <Events overview={overview} moments={moments} />}
        {overview && <Books last={overview.payments.lastReconciliation} />}
        <ParkedMessages token={token} />
      </div>
    </>
  );
}

/** Any order, whoever it belongs to. */
function Find({ token }: { token: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [found, setFound] = useState("");
  const open = (event: Event) => {
    event.preventDefault();
    setFound(field.current?.value.trim() ?? "");
  };
  return (
    <>
      <form class="find" role="search" onSubmit={open} autoComplete="off">
        <input ref={field} type="search" aria-label="Order id" placeholder="Order id" spellcheck={false} />
        <button type="submit">Look up</button>
      </form>
      {found && <StoryDrawer id={found} token={token} onClose={() => setFound("")} />}
    </>
  );
}
