// Events on their way between the services: how many wait where, and for how long.

import { inWords } from "../parts";
import { SERVICES } from "./admin";
import { type Moment, type Overview, QUEUES, waitingIn } from "./overview";
import { Panel, formatCount, formatSeconds } from "./panel";

export function Events({ overview, moments }: { overview: Overview; moments: Moment[] }) {
  const outboxes = SERVICES.map((service) => {
    const { outboxEvents, outboxOldestAgeSeconds } = overview[service].messages;
    return { name: inWords(service), events: outboxEvents, seconds: outboxEvents > 0 ? outboxOldestAgeSeconds : undefined };
  });
  const queues = QUEUES.map(({ event, service }) => {
    const seconds = moments.findLast(({ delays }) => delays[event] !== undefined)?.delays[event];
    return { name: event, events: waitingIn(overview.metrics[service], event), seconds };
  });
  return (
    <Panel title="Events">
      <Places title="Outbox" age="Oldest" places={outboxes} />
      <Places title="Queue" age="Applied after" places={queues} />
    </Panel>
  );
}

interface Place {
  name: string;
  events: number | undefined;
  seconds: number | undefined;
}

function Places({ title, age, places }: { title: string; age: string; places: Place[] }) {
  return (
    <table class="plain places">
      <thead>
        <tr>
          <th scope="col">{title}</th>
          <th scope="col" class="number">{age}</th>
          <th scope="col" class="number">Waiting</th>
        </tr>
      </thead>
      <tbody>
        {places.map(({ name, events, seconds }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="number faint">{seconds === undefined ? "–" : formatSeconds(seconds)}</td>
            <td class="number">{events === undefined ? "unknown" : formatCount(events)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
