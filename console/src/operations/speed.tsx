// How much is done, how fast, and what waits meanwhile, as charts.

import { Chart } from "./chart";
import type { Moment } from "./overview";
import { Panel, formatCount, formatSeconds } from "./panel";

export function Speed({ moments }: { moments: Moment[] }) {
  const perSecond = (value: number) => `${value < 10 ? Number(value.toFixed(1)) : formatCount(Math.round(value))}/s`;
  return (
    <Panel title="The last minutes" kind="panel-speed">
      <div class="charts">
        <Chart
          title="Orders"
          moments={moments}
          lines={[
            { label: "Placed", of: ({ placed }) => placed },
            { label: "Paid", of: ({ paid }) => paid },
          ]}
          format={perSecond}
        />
        <Chart
          title="95 of 100 are answered within"
          moments={moments}
          lines={[
            { label: "Placing", of: ({ placing }) => placing },
            { label: "Paying", of: ({ paying }) => paying },
          ]}
          format={formatSeconds}
        />
        <Chart
          title="Events on their way"
          moments={moments}
          lines={[
            { label: "Outboxes", of: ({ inOutboxes }) => inOutboxes },
            { label: "Queues", of: ({ inQueues }) => inQueues },
          ]}
          format={(value) => formatCount(value)}
        />
      </div>
      <p class="faint small">
        As far as this page has looked, which it does every few seconds while it can be seen. Durations are estimated from
        the services’ histograms.
      </p>
    </Panel>
  );
}
