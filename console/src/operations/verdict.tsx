// Whether somebody is needed.

import { State } from "../parts";
import { formatSpan } from "../time";
import { SERVICES } from "./admin";
import { find } from "./metrics";
import type { Overview } from "./overview";
import { formatCount } from "./panel";

/** What somebody should look at. The limits are those of the alerts (`observability/alerts.yml`). */
function concernsOf({ orders, payments, metrics }: Overview): string[] {
  const [late, open] = [orders.backlog, payments.backlog];
  const oldest = (seconds: number) => `the first for ${formatSpan(seconds * 1000)}`;
  const concerns: [boolean, string][] = SERVICES.flatMap((service) => {
    const { outboxEvents, outboxOldestAgeSeconds } = { orders, payments }[service].messages;
    const isCutOff = find(metrics[service], "broker_sessions").some(({ value }) => value === 0);
    const stuck = `${formatCount(outboxEvents)} events of ${service} have not left, ${oldest(outboxOldestAgeSeconds)}`;
    return [
      [isCutOff, `The ${service} service is not connected to RabbitMQ`],
      [outboxOldestAgeSeconds > 60, stuck],
    ];
  });
  const parked = orders.messages.parkedRows + payments.messages.parkedRows;
  const differences = payments.lastReconciliation?.differences ?? 0;
  concerns.push(
    [parked > 0, `Messages are parked: ${formatCount(parked)}`],
    [open.inDoubtAgeSeconds > 60, `Charges are in doubt: ${formatCount(open.inDoubt)}, ${oldest(open.inDoubtAgeSeconds)}`],
    [open.refundingAgeSeconds > 300, `Refunds are late: ${formatCount(open.refunding)}, ${oldest(open.refundingAgeSeconds)}`],
    [late.deliveriesOverdueAgeSeconds > 30, `Deliveries are late: ${formatCount(late.deliveriesOverdue)}, ${oldest(late.deliveriesOverdueAgeSeconds)}`],
    [late.expiriesOverdueAgeSeconds > 300, `Unpaid orders should be cancelled by now: ${formatCount(late.expiriesOverdue)}`],
    [differences > 0, `The books differ in ${formatCount(differences)} places`],
  );
  return concerns.filter(([isOne]) => isOne).map(([, text]) => text);
}

export function Verdict({ overview }: { overview: Overview }) {
  const concerns = concernsOf(overview);
  return (
    <ul class="verdict" aria-label="What needs a look">
      {concerns.length === 0 && (
        <li>
          <State of="good">Nothing is late, parked or in doubt for long</State>
        </li>
      )}
      {concerns.map((concern) => (
        <li key={concern}>
          <State of="warn">{concern}</State>
        </li>
      ))}
    </ul>
  );
}
