// The metrics of a service, which it tells as text (https://openmetrics.io), and what has grown between two looks at them.

import type { Service } from "./admin";

export interface Sample {
  /** Its name and labels, as they are written. */
  key: string;
  name: string;
  labels: Record<string, string>;
  value: number;
}

export function parseMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, key = "", name = "", written = "", value] = /^((\w+)(?:\{(.*)\})?) (\S+)$/.exec(line) ?? [];
    const labels = [...written.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text] as const);
    return name ? [{ key, name, labels: Object.fromEntries(labels), value: Number(value) }] : [];
  });
}

/** Those of a name that have these labels, and perhaps others. */
export function find(samples: Sample[], name: string, labels: Record<string, string> = {}): Sample[] {
  const wanted = Object.entries(labels);
  return samples.filter((sample) => sample.name === name && wanted.every(([label, text]) => sample.labels[label] === text));
}

export function sum(samples: Sample[]): number {
  return samples.reduce((total, { value }) => total + value, 0);
}

/** What one process had counted when it was asked last, and what it had counted the time before. */
interface Seen {
  service: Service;
  at: number;
  seconds: number;
  samples: Sample[];
  before: Map<string, number>;
}

/** After which a process that is not heard of any more does not count, in milliseconds. */
export const FORGOTTEN_AFTER = 30_000;

/** Counters by process: each of several replicas counts for itself, and whichever is asked answers. */
export class Counters {
  private readonly processes = new Map<string, Seen>();

  note(service: Service, samples: Sample[], at: number): void {
    const process = `${service} ${sum(find(samples, "process_start_time_seconds"))}`;
    const last = this.processes.get(process);
    const before = new Map(last?.samples.map(({ key, value }) => [key, value]));
    this.processes.set(process, { service, at, seconds: last ? (at - last.at) / 1000 : 0, samples, before });
    for (const [process, seen] of this.processes) {
      if (seen.at < at - FORGOTTEN_AFTER) this.processes.delete(process);
    }
  }

  /** By how much the counters of all processes grow in a second; unknown until one of them was asked twice. */
  perSecond(service: Service, name: string, labels: Record<string, string> = {}): number | undefined {
    const known = [...this.processes.values()].filter((seen) => seen.service === service && seen.seconds > 0);
    if (known.length === 0) return undefined;
    const growth = ({ samples, before, seconds }: Seen) => {
      const grown = find(samples, name, labels).map(({ key, value }) => value - (before.get(key) ?? 0));
      return grown.reduce((total, more) => total + more, 0) / seconds;
    };
    return known.map(growth).reduce((total, more) => total + more, 0);
  }

  /** Within how many seconds this share of what a histogram has counted since was done: between its steps an estimate. */
  within(share: number, service: Service, name: string, labels: Record<string, string>): number | undefined {
    const all = [...this.processes.values()].flatMap(({ samples }) => find(samples, `${name}_bucket`, labels));
    const steps = [...new Set(all.map((sample) => sample.labels["le"] ?? ""))];
    const counts = steps.map((le) => {
      const count = this.perSecond(service, `${name}_bucket`, { ...labels, le }) ?? 0;
      return { limit: le === "+Inf" ? Infinity : Number(le), count };
    });
    counts.sort((one, other) => one.limit - other.limit);
    const wanted = (counts.at(-1)?.count ?? 0) * share;
    if (wanted === 0) return undefined;
    const index = counts.findIndex(({ count }) => count >= wanted);
    const [step, below] = [counts[index], counts[index - 1] ?? { limit: 0, count: 0 }];
    if (!step || step.limit === Infinity) return below.limit;
    return below.limit + ((step.limit - below.limit) * (wanted - below.count)) / (step.count - below.count);
  }
}
