// Keys for everything; each is shown on the screen. A held key acts once, and no key acts while one is typing.

import { activeQuestion, choose, leave, write } from "./questions.js";
import { setting } from "./outbox.js";

const byId = (id) => document.getElementById(id);
const ARROWS = { ArrowLeft: "l", ArrowUp: "t", ArrowRight: "r", ArrowDown: "n" };
const writes = (element) => element.matches("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
const presses = (element) => element.closest("a, summary, button:not(.submit), input[type=checkbox]") !== null;
const on = () => byId("keys-on").checked;

function submit(form) {
  form?.requestSubmit();
  return form !== null;
}

/** The form that Enter sends: a reason to skip where one is being given, else the answer, else the one button there is. */
function current() {
  return byId("skip")?.open ? byId("skip-form") : (byId("answer") ?? byId("go-on"));
}

function handle(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const choice = document.querySelector('[data-question="choice"]');
  const skip = byId("skip");
  if (key === "?") return toggleHelp();
  if (key === "Escape" && byId("help").open) return toggleHelp();
  if (key === "Escape" && skip?.open) return toggleSkip();
  if (key === "u" || key === "Backspace") return submit(byId("undo"));
  if (key === "Enter") return !presses(event.target) && submit(current());
  if (key === "s") return skip !== null && toggleSkip();
  if (/^[1-9]$/.test(key)) return skip?.open ? reason(key) : choose(activeQuestion(), key);
  if (skip?.open) return false;
  if (key === "e") return write();
  if (/^[ltrn]$/.test(key)) return choose(choice, key);
  if (key in ARROWS && choice !== null && activeQuestion() === choice && !event.target.closest("#help")) return choose(choice, ARROWS[key]);
  return false;
}

/** In the text field two keys alone: Enter goes on to the next question (with Shift a new line), Escape leaves it. */
function typing(event) {
  if (event.key === "Escape") return event.target.blur();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches("#answer textarea")) return;
  event.preventDefault();
  if (!event.repeat) leave(event.target);
}

document.addEventListener("keydown", (event) => {
  if (!on() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (writes(event.target)) return typing(event);
  if (event.repeat && event.key !== "Enter") return;
  if (event.repeat || handle(event)) event.preventDefault(); // a held Enter would press the focused button again and again
});

function reason(key) {
  const option = document.querySelector(`#skip-form input[data-answer="${key}"]`);
  if (!option) return false;
  option.checked = true;
  document.querySelector("#skip-form .submit").focus();
  return true;
}

function toggleSkip() {
  const skip = byId("skip");
  skip.open = !skip.open;
  (skip.open ? skip.querySelector("input") : skip.querySelector("summary")).focus();
  return true;
}

let before = null; // what had the focus when the instructions were opened

function toggleHelp() {
  const help = byId("help");
  help.open = !help.open;
  if (help.open) {
    before = document.activeElement;
    help.querySelector(".help-panel").focus();
  } else {
    before?.focus();
  }
  return true;
}

// Character keys can be turned off, for those who speak to their computer; the browser remembers it.

function show() {
  document.documentElement.classList.toggle("keys-off", !on());
}

export function startKeys() {
  byId("keys-on").checked = setting("keys") !== "off";
  byId("keys-on").addEventListener("change", () => {
    setting("keys", on() ? "on" : "off");
    show();
  });
  show();
}
