// How many orders and payments are in each state.

import { State } from "../parts";
import type { ByStatus, Overview } from "./overview";
import { Panel, formatCount } from "./panel";

export function States({ overview }: { overview: Overview }) {
  return (
    <Panel title="States" kind="panel-states">
      <Shares title="Orders" counted={overview.orders.orders} />
      <Shares title="Payments" counted={overview.payments.payments} />
    </Panel>
  );
}

function Shares({ title, counted }: { title: string; counted: ByStatus }) {
  const states = Object.entries(counted.byStatus);
  const all = states.reduce((total, [, count]) => total + count, 0);
  let left = 0;
  const shares = states.map(([state, count]) => {
    const [x, width] = [left, all ? (100 * count) / all : 0];
    left += width;
    return { state, x, width };
  });
  return (
    <div class="shares">
      <h3>{all < counted.newest ? `${title}: ${formatCount(all)}` : `${title}: the newest ${formatCount(counted.newest)}`}</h3>
      <svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
        {shares.map(({ state, x, width }) => (
          <rect key={state} class={`state-${state}`} x={x} y="0" width={width} height="1" />
        ))}
      </svg>
      <dl class="counts">
        {states.map(([state, count]) => (
          <div key={state} class={count ? "" : "faint"}>
            <dt>
              <State of={state} />
            </dt>
            <dd class="number">{formatCount(count)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
