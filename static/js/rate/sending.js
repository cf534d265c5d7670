// Sending: one form at a time. What could not be sent stays on the screen and in this browser, says so, and is sent when
// it can: when the connection is back, when this window is looked at again, and in growing intervals.

import { secondsLeft, seenSoFar, waitFor } from "./clocks.js";
import { forget, kept, recall, remember } from "./outbox.js";

const byId = (id) => document.getElementById(id);
const LONGEST = 30; // seconds between two tries at most
const FINAL = new Set([404, 409, 410, 413, 422]); // the server has understood, and says no

let sending = false;
let unsent = null; // the form that waits to be sent again
let tries = 0;
let timer = null;
let safe = true; // whether the browser keeps what is not sent

export function announce(text) {
  byId("announcement").textContent = text;
}

const addressOf = (form) => form.getAttribute("action");
const isAnswer = (form) => form.id === "answer" || form.id === "skip-form";
const fieldsOf = (form) => Object.fromEntries(new FormData(form));

/** Keep what stands in a form of the screen; `waiting` once the rater has submitted it. */
export function keepDraft(form, waiting = form === unsent) {
  safe = remember(addressOf(form), { fields: fieldsOf(form), waiting, seen: seenSoFar() });
}

/** Fill the screen's form with what was entered in an earlier visit. Returns the entry, or null where there is none. */
export function restore(form) {
  const entry = recall(addressOf(form));
  if (entry === null || entry.fields?.revision !== form.elements.revision.value) return null;
  const target = "skip" in entry.fields ? byId("skip-form") : form;
  if (target === null) return null;
  for (const [name, value] of Object.entries(entry.fields)) {
    const field = target.elements[name];
    if (field && name !== "visible_ms") field.value = value; // a group of radio buttons takes its value likewise
  }
  return { ...entry, form: target };
}

// The screen's own forms, which htmx sends.

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (isAnswer(form) && secondsLeft() && !sending) announce(`You can submit in ${secondsLeft()} seconds.`);
    // Undo waits too: its screen would take the place of an answer that is not saved.
    const refused = sending || (unsent && unsent !== form) || form.querySelector("button[disabled]");
    if (refused || (isAnswer(form) && secondsLeft())) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    sending = true;
    document.documentElement.classList.add("sending");
    if (isAnswer(form)) {
      form.elements.visible_ms.value = seenSoFar();
      keepDraft(form, true);
    }
  },
  true, // before htmx
);

document.addEventListener("htmx:afterRequest", (event) => {
  sending = false;
  document.documentElement.classList.remove("sending");
  const form = event.detail.requestConfig.elt;
  if (event.detail.successful && isAnswer(form)) forget(addressOf(form));
});

for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const kept = isAnswer(event.target) && safe ? " Your answer is kept in this browser; you may close the window." : "";
    hold(event.target, `There is no connection, so this is not yet saved. It is sent when you are back online.${kept}`);
    again();
  });
}

document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  const answer = new DOMParser().parseFromString(responseText, "text/html");
  const message = answer.querySelector("[data-message]")?.textContent ?? "The server did not answer as it should.";
  const wait = Number(answer.querySelector("[data-wait]")?.dataset.wait ?? 0);
  if (wait > 0) {
    keepDraft(event.target);
    settle();
    waitFor(wait);
    announce(message);
  } else if (FINAL.has(status)) {
    // 404: of another rater, whose invite was opened in another tab; it is sent when that one is back.
    if (isAnswer(event.target) && status !== 422 && status !== 404) forget(addressOf(event.target));
    refuse(message, status === 422);
  } else {
    hold(event.target, `${message} This is not yet saved; it stays here.`);
    if (status !== 401) again(); // a session that ended is had again by the invite, in another tab
  }
});

function say(message, { retry, goOn }) {
  if (byId("unsent-message").textContent !== message) byId("unsent-message").textContent = message;
  byId("retry").hidden = !retry;
  byId("continue").hidden = !goOn;
  byId("unsent").hidden = false;
}

function hold(form, message) {
  unsent = form;
  say(message, { retry: true, goOn: false });
}

function refuse(message, stay) {
  settle();
  say(message, { retry: false, goOn: !stay });
}

/** Nothing waits any more. */
export function settle() {
  unsent = null;
  tries = 0;
  clearTimeout(timer);
  byId("unsent").hidden = true;
}

function retry() {
  clearTimeout(timer);
  if (unsent && !sending) unsent.requestSubmit();
}

function again() {
  tries += 1;
  clearTimeout(timer);
  timer = setTimeout(retry, 1000 * Math.min(LONGEST, 2 ** tries));
}

// Answers to other screens that wait in this browser: of a tab that was closed, or of a lease that ran out.

let emptying = false;

export async function sendKept() {
  if (emptying) return;
  emptying = true;
  let sent = 0;
  try {
    for (const { action, fields, waiting } of kept()) {
      if (!waiting || action === byId("answer")?.getAttribute("action")) continue;
      // A redirect to the next screen is success, and is not followed.
      const response = await fetch(action, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
      if (response.ok || response.type === "opaqueredirect") {
        sent += 1;
        forget(action);
      } else if (FINAL.has(response.status) && response.status !== 404) {
        forget(action); // 404: see above
      }
    }
  } catch {
    // no connection: at the next occasion
  } finally {
    emptying = false;
  }
  if (sent) announce(sent === 1 ? "An answer that waited here was sent." : `${sent} answers that waited here were sent.`);
}

function occasion() {
  retry();
  sendKept();
}

export function startSending() {
  byId("retry").addEventListener("click", retry);
  window.addEventListener("online", occasion);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && occasion());
  window.addEventListener("focus", occasion);
  window.addEventListener("beforeunload", (event) => {
    if (unsent && !safe) event.preventDefault();
  });
}
