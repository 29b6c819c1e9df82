// Messages that could not be applied: why, and what is done about them.

import { useState } from "preact/hooks";
import { Problem, asProblem, ask } from "../api";
import { usePolled } from "../live";
import { BUSY, Dialog, Moment, ProblemNote, focus } from "../parts";
import { toast } from "../toasts";
import { type Named, type WholeParked, path, readParked } from "./admin";
import { Panel, formatCount } from "./panel";

/** How long a replayed message may take until it is applied or parked again. */
const PATIENCE = 10_000;

export function ParkedMessages({ token }: { token: string }) {
  const parked = usePolled((signal) => readParked(token, signal), 4000, [token]);
  const [shown, setShown] = useState<Named>();
  const rows = parked.value ?? [];
  return (
    <Panel title="Parked messages" kind="panel-wide">
      {parked.problem && <ProblemNote problem={parked.problem} />}
      {parked.value && rows.length === 0 && <p class="faint">Nothing is parked: every message could be applied.</p>}
      {rows.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Message</th>
              <th scope="col">Why</th>
              <th scope="col" class="number wide">Parked</th>
              <th scope="col"><span class="unseen">What to do</span></th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={nameOf(row)}>
                <th scope="row">
                  <button type="button" class="quiet" aria-haspopup="dialog" onClick={() => setShown(row)}>
                    {nameOf(row)}
                  </button>
                  <div class="faint small">{row.queue}</div>
                </th>
                <td class="reason">{row.reason}</td>
                <td class="number faint wide"><Moment at={row.parkedAt} is="past" /></td>
                <td><Actions row={row} token={token} onDone={parked.again} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {shown && <Body row={shown} token={token} onClose={() => setShown(undefined)} />}
    </Panel>
  );
}

function nameOf({ service, id }: Pick<Named, "service" | "id">): string {
  return `${service}/${id}`;
}

function Actions({ row, token, onDone }: { row: Named; token: string; onDone(): void }) {
  const [isAsking, setAsking] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const route = path(row.service, `parked/${row.id}`);
  const run = async (work: () => Promise<string>) => {
    setBusy(true);
    try {
      toast(await work());
    } catch (error) {
      const { title, detail } = asProblem(error);
      toast(`${title}. ${detail}`);
    }
    setBusy(false);
    setAsking(false);
    onDone();
  };
  const replay = async () => {
    await ask(`${route}/replay`, { method: "POST", token });
    return outcomeOf(row, token);
  };
  const discard = async () => {
    await ask(route, { method: "DELETE", token });
    return `${nameOf(row)} is discarded.`;
  };
  if (isAsking) {
    return (
      <div class="actions">
        <button type="button" class="small danger" ref={focus} onClick={() => run(discard)} {...(isBusy && BUSY)}>
          Discard for ever
        </button>
        <button type="button" class="small" onClick={() => setAsking(false)}>Keep</button>
      </div>
    );
  }
  return (
    <div class="actions">
      <button type="button" class="small" aria-label={`Replay ${nameOf(row)}`} onClick={() => run(replay)} {...(isBusy && BUSY)}>
        {isBusy ? "Replaying…" : "Replay"}
      </button>
      <button type="button" class="small" aria-label={`Discard ${nameOf(row)}`} onClick={() => setAsking(true)} {...(isBusy && BUSY)}>
        Discard
      </button>
    </div>
  );
}

/** The row goes when the message is applied, or when another takes its place. */
async function outcomeOf(row: Named, token: string): Promise<string> {
  const isGone = (error: unknown) => {
    if (error instanceof Problem && error.code === "parked_not_found") return undefined;
    throw error;
  };
  const end = Date.now() + PATIENCE;
  while (await ask(path(row.service, `parked/${row.id}`), { token }).catch(isGone)) {
    if (Date.now() > end) return `${nameOf(row)} is sent and waits in its queue.`;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const again = (await readParked(token)).find(({ service, replayOf }) => service === row.service && replayOf === row.id);
  return again ? `It still cannot be applied and is parked again as ${nameOf(again)}.` : `${nameOf(row)} is applied.`;
}

function Body({ row, token, onClose }: { row: Named; token: string; onClose(): void }) {
  const read = (signal: AbortSignal) => ask<{ data: WholeParked }>(path(row.service, `parked/${row.id}`), { token, signal });
  const { value, problem } = usePolled(read, 60_000, [row.id, row.service]);
  const whole = value?.data;
  return (
    <Dialog kind="window" label={`Message ${nameOf(row)}`} onClose={onClose}>
      {problem && <ProblemNote problem={problem} />}
      <p>{row.reason}</p>
      <dl class="facts">
        <dt>Queue</dt>
        <dd><code>{row.queue}</code></dd>
        <dt>Message id</dt>
        <dd><code>{row.messageId ?? "none"}</code></dd>
        <dt>Size</dt>
        <dd>{formatCount(row.bytes)} bytes</dd>
      </dl>
      {whole && (
        <pre tabIndex={0} aria-label="Body">
          {whole.bodyFormat === "json" ? JSON.stringify(whole.body, null, 2) : String(whole.body)}
        </pre>
      )}
    </Dialog>
  );
}
