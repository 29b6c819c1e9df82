// What several views are made of.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Problem } from "./api";
import { Toasts } from "./toasts";
import { ago, formatTime, until, useSeconds } from "./time";

/** A state as a colour and as a word; the word says it all. */
export function State({ of, children }: { of: string; children?: ComponentChildren }) {
  return <span class={`state state-${of}`}>{children ?? inWords(of)}</span>;
}

export function inWords(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A moment, told from now, with the exact time for whoever points at it. */
export function Moment({ at, is }: { at: string; is: "past" | "future" }) {
  useSeconds();
  return (
    <time dateTime={at} title={formatTime(at)}>
      {is === "past" ? ago(at) : until(at)}
    </time>
  );
}

/** What a person can do about a problem whose own advice is for programs. */
const ADVICE: Record<string, string> = {
  bad_gateway: "A service is away at the moment.",
  gateway_timeout: "A service does not answer at the moment.",
  unauthorized: "This token is not accepted: change it above, or be the demo user.",
  order_not_found: "Check the address. It may be somebody else's, or have been closed long ago.",
};

/** A problem in the words of the API, with what may be done about it. */
export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }) {
  return (
    <div class="note note-problem" role="alert">
      <p>
        <strong>{problem.title}.</strong> {problem.fields.length === 0 && (ADVICE[problem.code] ?? problem.detail)}
      </p>
      {problem.fields.length > 0 && (
        <ul>
          {problem.fields.map((field) => (
            <li key={field.pointer + field.detail}>
              {fieldInWords(field.pointer)} {field.detail}
            </li>
          ))}
        </ul>
      )}
      {children}
      {problem.requestId && <p class="faint small">Request {problem.requestId}</p>}
    </div>
  );
}

/** `#/items/0/unitPrice` as `Items 1, unit price`. */
function fieldInWords(pointer: string): string {
  const words = pointer.replace(/^#/, "").split("/").filter(Boolean).map((part) => {
    if (/^\d+$/.test(part)) return String(Number(part) + 1);
    return part.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  });
  return inWords(words.join(" "));
}

/** A modal dialog of the browser's own: it keeps the focus inside, closes on Escape and gives the focus back. A window
 * begins in its first field, if it has one. */
export function Dialog(props: { label: string; kind: "drawer" | "window"; onClose(): void; children: ComponentChildren }) {
  const { label, kind, onClose, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const title = useHeading<HTMLHeadingElement>();
  const heading = useId();
  useEffect(() => {
    const [element, opener] = [dialog.current, document.activeElement];
    element?.showModal();
    if (kind === "window") element?.querySelector<HTMLElement>("input, select")?.focus();
    return () => {
      element?.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  const closeOutside = (event: { target: EventTarget | null; currentTarget: EventTarget | null }) => {
    if (event.target === event.currentTarget) onClose();
  };
  const cancel = (event: Event) => {
    event.preventDefault();
    onClose();
  };
  return (
    <dialog ref={dialog} class={kind} aria-labelledby={heading} onCancel={cancel} onMouseDown={closeOutside}>
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={heading} ref={title} tabIndex={-1}>{label}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={onClose}>
            <Icon shape="M4 4l8 8M12 4l-8 8" />
          </button>
        </header>
        {children}
      </div>
      <Toasts />
    </dialog>
  );
}

/** For a button whose work is under way: it keeps the focus, which a disabled one would lose, and cannot be pressed. */
export const BUSY = { "aria-disabled": true, onClick: (event: Event) => event.preventDefault() } as const;

let lastFocused: EventTarget | null = null;
document.addEventListener("focusin", ({ target }) => void (lastFocused = target));

/** Gives a heading the focus when what had it is gone, as a button is that has done its work: one goes on from there. */
export function useHeading<T extends HTMLElement>() {
  const heading = useRef<T>(null);
  useEffect(() => {
    const isLost = document.activeElement === document.body && lastFocused instanceof Element && !lastFocused.isConnected;
    if (isLost) heading.current?.focus({ preventScroll: true });
  });
  return heading;
}

/** As a `ref`: for what takes the place of the button that was pressed. */
export function focus(element: HTMLElement | null): void {
  element?.focus();
}

/** Lines on a square of 16. */
export function Icon({ shape }: { shape: string }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={shape} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

/** An input with its label, and what is wrong with it. */
export function Field(props: {
  label: string;
  problem?: string | undefined;
  hint?: string;
  class?: string;
  children(attributes: { id: string; "aria-invalid"?: true; "aria-describedby"?: string }): ComponentChildren;
}) {
  const { label, problem, hint, children } = props;
  const id = useId();
  const told = problem ?? hint;
  const attributes = {
    id,
    ...(problem ? { "aria-invalid": true as const } : {}),
    ...(told ? { "aria-describedby": `${id}-told` } : {}),
  };
  return (
    <div class={`field ${props.class ?? ""}`}>
      <label for={id}>{label}</label>
      {children(attributes)}
      {told && (
        <p id={`${id}-told`} class={problem ? "wrong small" : "faint small"}>
          {told}
        </p>
      )}
    </div>
  );
}

/** For a form: after whatever it was told, its sender goes on in the first field that is wrong. */
export function useFirstWrong(told: unknown) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus(), [told]);
  return form;
}

/** The last characters of an id, which differ; the first are its time. */
export function ShortId({ id }: { id: string }) {
  return <code title={id}>{id.slice(-8)}</code>;
}
