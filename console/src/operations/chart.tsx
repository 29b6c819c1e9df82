// A small chart: what was between two looks is drawn as one level, since no more is known of it.

import { formatSpan } from "../time";
import { type Moment, WINDOW } from "./overview";

export interface Line {
  label: string;
  of(moment: Moment): number | undefined;
}

const [WIDTH, HEIGHT] = [300, 96];
/** What is drawn at least; up to the whole window as it has been seen. */
const SHORTEST = 60_000;

export function Chart(props: { title: string; moments: Moment[]; lines: Line[]; format(value: number): string }) {
  const { title, moments, lines, format } = props;
  const end = moments.at(-1)?.to ?? 0;
  const values = lines.map(({ of }) => moments.map(of));
  const top = roundUp(Math.max(0, ...values.flat().map((value) => value ?? 0)));
  const span = Math.min(WINDOW, Math.max(SHORTEST, end - (moments[0]?.from ?? end)));
  const x = (at: number) => Math.max(0, WIDTH * (1 - (end - at) / span)).toFixed(1);
  const y = (value: number) => (HEIGHT * (1 - value / top)).toFixed(1);
  const draw = ({ of }: Line) => {
    let isOpen = false;
    return moments.map((moment) => {
      const value = of(moment);
      const level = value === undefined ? "" : `${isOpen ? "L" : "M"}${x(moment.from)} ${y(value)}H${x(moment.to)}`;
      isOpen = value !== undefined;
      return level;
    });
  };
  const told = lines.map(({ label }, index) => {
    const known = (values[index] ?? []).filter((value) => value !== undefined);
    const now = values[index]?.at(-1);
    const most = known.length > 0 ? `at most ${format(Math.max(...known))}` : "not known";
    return { label, now: now === undefined ? "–" : format(now), most };
  });
  const inWords = told.map(({ label, most }) => `${label} ${most}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${inWords}`}>
        <line class="grid" x1="0" y1="0" x2={WIDTH} y2="0" />
        <line class="grid" x1="0" y1={HEIGHT / 2} x2={WIDTH} y2={HEIGHT / 2} />
        {lines.map((line, index) => (
          <path key={line.label} class={`line-${index}`} d={draw(line).join("")} />
        ))}
      </svg>
      <p class="scale faint small">
        <span>{formatSpan(span)} ago</span>
        <span>up to {format(top)}</span>
        <span>now</span>
      </p>
      <ul class="legend">
        {told.map(({ label, now }, index) => (
          <li key={label} class={`line-${index}`}>
            {label} <strong>{now}</strong>
          </li>
        ))}
      </ul>
    </figure>
  );
}

/** To 1, 2 or 5 of a power of ten. */
function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}
