// Charges without an answer, and refunds that are not done: since when, and what is done about them.

import { useState } from "preact/hooks";
import { asProblem, ask } from "../api";
import { usePolled } from "../live";
import { formatMoney } from "../money";
import { BUSY, Moment, ProblemNote, ShortId, State } from "../parts";
import { formatSpan } from "../time";
import { toast } from "../toasts";
import { path } from "./admin";
import { EVERY } from "./overview";
import { Panel, formatCount } from "./panel";
import { StoryDrawer, readStory } from "./story";

/** As `GET /in-doubt` lists it. */
interface Unsettled {
  orderId: string;
  status: "processing" | "refunding";
  bill: number | null;
  currency: string | null;
  cancelRequested: boolean;
  ageSeconds: number;
  settleAt: string | null;
}

/** More are counted only. */
const SHOWN = 50;
/** How long the card processor may take until it is clear that it does not answer. */
const PATIENCE = 10_000;

async function readUnsettled(token: string, signal?: AbortSignal): Promise<Unsettled[]> {
  const asked = signal ? { token, signal } : { token };
  return (await ask<{ data: Unsettled[] }>(path("payments", "in-doubt"), asked)).data;
}

export function InDoubt({ token }: { token: string }) {
  const { value: rows, problem, again } = usePolled((signal) => readUnsettled(token, signal), EVERY, [token]);
  const [shown, setShown] = useState<string>();
  return (
    <Panel title="Charges in doubt and refunds under way" kind="panel-wide">
      {problem && <ProblemNote problem={problem} />}
      {rows?.length === 0 && <p class="faint">Of every charge it is known whether it was made, and no refund is open.</p>}
      {rows && rows.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Order</th>
              <th scope="col">State</th>
              <th scope="col" class="number">Amount</th>
              <th scope="col" class="number wide">For</th>
              <th scope="col" class="number wide">Asked again</th>
              <th scope="col"><span class="unseen">What to do</span></th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map((row) => (
              <tr key={row.orderId}>
                <th scope="row">
                  <button type="button" class="quiet" aria-haspopup="dialog" onClick={() => setShown(row.orderId)}>
                    <ShortId id={row.orderId} />
                  </button>
                </th>
                <td>
                  <State of={row.status}>{row.status === "refunding" ? "Refund" : "Charge"}</State>
                  {row.cancelRequested && <div class="faint small">to be cancelled</div>}
                </td>
                <td class="number">{row.bill !== null && row.currency ? formatMoney(row.bill, row.currency) : "unknown"}</td>
                <td class="number faint wide">{formatSpan(row.ageSeconds * 1000)}</td>
                <td class="number faint wide">{row.settleAt && <Moment at={row.settleAt} is="future" />}</td>
                <td>
                  <Settle row={row} token={token} onDone={again} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {rows && rows.length > SHOWN && <p class="faint small">The first {SHOWN} of {formatCount(rows.length)}.</p>}
      {shown && <StoryDrawer id={shown} token={token} onClose={() => setShown(undefined)} />}
    </Panel>
  );
}

function Settle({ row, token, onDone }: { row: Unsettled; token: string; onDone(): void }) {
  const [isBusy, setBusy] = useState(false);
  const settle = async () => {
    setBusy(true);
    try {
      await ask(path("payments", `in-doubt/${row.orderId}/settle`), { method: "POST", token });
      toast(await outcomeOf(row, token));
    } catch (error) {
      const { title, detail } = asProblem(error);
      toast(`${title}. ${detail}`);
    }
    setBusy(false);
    onDone();
  };
  return (
    <div class="actions">
      <button type="button" class="small" aria-label={`Settle ${row.orderId.slice(-8)}`} onClick={settle} {...(isBusy && BUSY)}>
        {isBusy ? "Asking…" : "Settle"}
      </button>
    </div>
  );
}

/** The row goes when the processor's answer is kept. */
async function outcomeOf(row: Unsettled, token: string): Promise<string> {
  const end = Date.now() + PATIENCE;
  while ((await readUnsettled(token)).some(({ orderId, status }) => orderId === row.orderId && status === row.status)) {
    if (Date.now() > end) return "The card processor does not answer. It is asked again until it does.";
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const { rows } = await readStory(row.orderId, token);
  return `It is settled: the payment is ${rows["payments"]?.status ?? "known"}.`;
}
