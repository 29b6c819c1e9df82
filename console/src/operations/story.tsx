// Everything that both services know of one order, in the order of time.

import { Problem, ask } from "../api";
import { declineInWords } from "../cards";
import { usePolled } from "../live";
import { formatMoney } from "../money";
import { Dialog, ProblemNote, inWords } from "../parts";
import { formatTime } from "../time";
import { SERVICES, type Service, path } from "./admin";

interface Entry {
  at: string;
  what: string;
  details: Record<string, unknown>;
  service: Service;
}

export interface Told {
  /** As they are stored. */
  rows: Partial<Record<Service, { status: string }>>;
  entries: Entry[];
}

export async function readStory(id: string, token: string, signal?: AbortSignal): Promise<Told> {
  const read = async (service: Service) => {
    const asked = signal ? { token, signal } : { token };
    const unlessUnknown = (error: unknown) => {
      if (error instanceof Problem && error.status === 404) return { data: { row: null, entries: [] } };
      throw error;
    };
    const story = ask<{ data: { row: { status: string } | null; entries: Omit<Entry, "service">[] } }>(
      path(service, `story/${encodeURIComponent(id)}`),
      asked,
    );
    const { data } = await story.catch(unlessUnknown);
    return { service, row: data.row, entries: data.entries.map((entry) => ({ ...entry, service })) };
  };
  const stories = await Promise.all(SERVICES.map(read));
  const rows = Object.fromEntries(stories.flatMap(({ service, row }) => (row ? [[service, row]] : [])));
  const entries = stories.flatMap((story) => story.entries);
  return { rows, entries: entries.sort((one, other) => Date.parse(one.at) - Date.parse(other.at)) };
}

/** How often it is read anew while it is open. */
const EVERY = 2000;

export function StoryDrawer({ id, token, onClose }: { id: string; token: string; onClose(): void }) {
  return (
    <Dialog kind="drawer" label="What both services know" onClose={onClose}>
      <p class="faint small">
        Order <code>{id}</code>
      </p>
      <Story id={id} token={token} />
    </Dialog>
  );
}

export function Story({ id, token }: { id: string; token: string }) {
  const { value, problem } = usePolled((signal) => readStory(id, token, signal), EVERY, [id, token]);
  return (
    <>
      {problem && <ProblemNote problem={problem} />}
      {value?.entries.length === 0 && <p class="faint">No service knows this order.</p>}
      <ol class="story">
        {value?.entries.map((entry, index) => (
          <li key={index}>
            <p>
              {inWords(entry.what.replace(/^the /, ""))}
              <span class="faint small"> {entry.service}</span>
            </p>
            <time dateTime={entry.at} class="faint small">{formatTime(entry.at)}</time>
            <p class="faint small">{inDetail(entry.details)}</p>
          </li>
        ))}
      </ol>
    </>
  );
}

/** Without what only programs look for. */
function inDetail({ id, txId, traceparent, bill, amount, currency, declineCode, version, ...others }: Entry["details"]): string {
  const minor = bill ?? amount;
  const money = typeof minor === "number" && typeof currency === "string" ? [formatMoney(minor, currency)] : [];
  const declined = typeof declineCode === "string" ? [declineInWords(declineCode)] : [];
  const rest = Object.entries(others).filter(([, value]) => typeof value === "string" && value !== "");
  return [...money, ...declined, ...rest.map(([name, value]) => (name === "createdBy" ? `by ${value}` : String(value).replaceAll("_", " ")))].join(" · ");
}
