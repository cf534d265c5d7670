// Rating by keys, time on task, and answers that survive a lost connection. Without this file the forms work as they are.
//
// htmx sends a form and puts the next screen in the place of #screen; the rest of the page stays. It settles at once
// (defaultSettleDelay 0, in the page's head), so that no key can fall between a screen's coming and its being ready.

const page = document.documentElement;
const byId = (id) => document.getElementById(id);
const questions = () => [...document.querySelectorAll("#answer .question")];

page.classList.add("js");

// The question that keys answer: the one that the rater last touched, else the first one that is open.

let active = null;

function activate(question) {
  active = question ?? null;
  for (const each of questions()) each.toggleAttribute("data-active", each === active);
}

// Answered in this visit: what undo has brought back is shown as it was, and the keys go through it again in order.
const settled = new WeakSet();
const answered = (question) => settled.has(question);

document.addEventListener("change", (event) => {
  const question = event.target.closest("#answer .question");
  if (question) settled.add(question);
});

function advance() {
  const all = questions();
  const after = all.slice(all.indexOf(active) + 1);
  const next = after.find((each) => !answered(each)) ?? all.find((each) => !answered(each));
  if (next) {
    activate(next);
    next.querySelector("input").focus();
  } else {
    activate(null);
    document.querySelector("#answer .submit").focus();
  }
}

function choose(question, answer) {
  const option = question?.querySelector(`input[data-answer="${answer}"]`);
  if (!option) return false;
  activate(question);
  option.checked = true;
  settled.add(question);
  advance();
  return true;
}

// Keys.

const ARROWS = { ArrowLeft: "l", ArrowUp: "t", ArrowRight: "r", ArrowDown: "n" };
const writes = (element) => element.matches("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
const presses = (element) => element.closest("a, summary, button:not(.submit), input[type=checkbox]") !== null;

function handle(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const choice = document.querySelector('[data-question="choice"]');
  if (key === "?") return toggleHelp();
  if (key === "Escape" && byId("help").open) return toggleHelp();
  if (key === "u" || key === "Backspace") return submit(byId("undo"));
  if (key === "Enter") return !presses(event.target) && submit(byId("answer"));
  if (/^[1-5]$/.test(key)) return choose(active, key);
  if (/^[ltrn]$/.test(key)) return choose(choice, key);
  if (key in ARROWS && active !== null && active === choice && !event.target.closest("#help")) return choose(choice, ARROWS[key]);
  return false;
}

document.addEventListener("keydown", (event) => {
  if (!byId("keys-on").checked || event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
  if (event.repeat && event.key !== "Enter") return;
  if (event.repeat || handle(event)) event.preventDefault(); // a held Enter would press the focused button again and again
});

document.addEventListener("focusin", (event) => {
  const question = event.target.closest(".question");
  if (question) activate(question);
});

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

byId("keys-on").checked = localStorage.getItem("keys") !== "off";
function showKeys() {
  page.classList.toggle("keys-off", !byId("keys-on").checked);
}
byId("keys-on").addEventListener("change", () => {
  localStorage.setItem("keys", byId("keys-on").checked ? "on" : "off");
  showKeys();
});

// How long this screen was really in view.

let seen = 0;
let since = null;

function watch() {
  const now = performance.now();
  if (since !== null) seen += now - since;
  since = document.visibilityState === "visible" ? now : null;
}
document.addEventListener("visibilitychange", watch);

// Sending: once at a time; what could not be sent stays on screen, says so, and can be sent again.

let sending = false;
let unsent = null; // the form that waits to be sent again
let offline = false; // whether it waits for the connection alone

function submit(form) {
  form?.requestSubmit();
  return true;
}

document.addEventListener(
  "submit",
  (event) => {
    // Undo waits too: its screen would take the place of an answer that is not saved.
    if (sending || (unsent && unsent !== event.target) || event.target.querySelector("button[disabled]")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    sending = true;
    page.classList.add("sending");
    if (event.target.id === "answer") {
      watch();
      event.target.elements.visible_ms.value = Math.round(seen);
    }
  },
  true, // before htmx
);

function finish() {
  sending = false;
  page.classList.remove("sending");
}

function keep(form, message, { retry, connection }) {
  unsent = retry ? form : null;
  offline = connection;
  byId("unsent-message").textContent = message;
  byId("retry").hidden = !retry;
  byId("continue").hidden = retry;
  byId("unsent").hidden = false;
}

function settle() {
  unsent = null;
  byId("unsent").hidden = true;
}

function sentence(response, fallback) {
  const element = new DOMParser().parseFromString(response, "text/html").querySelector("[data-message]");
  return element?.textContent ?? fallback;
}

document.addEventListener("htmx:afterRequest", finish);

for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const message = "There is no connection. Your answer stays here, not yet saved; it is sent when you are back online.";
    keep(event.target, message, { retry: true, connection: true });
  });
}

document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  const message = sentence(responseText, "The server did not answer as it should.");
  // A session that ended can be had again in another tab, and a server's trouble passes; the rest is final.
  const retry = status >= 500 || status === 401 || status === 429;
  keep(event.target, retry ? `${message} Your answer stays here, not yet saved.` : message, { retry, connection: false });
});

byId("retry").addEventListener("click", () => submit(unsent));
window.addEventListener("online", () => {
  if (unsent && offline) submit(unsent);
});
window.addEventListener("beforeunload", (event) => {
  if (unsent) event.preventDefault();
});

// A new screen.

function start() {
  seen = 0;
  since = null;
  watch();
  activate(questions().find((each) => !answered(each)) ?? questions()[0]);
}

document.addEventListener("htmx:load", (event) => {
  if (event.detail.elt.id !== "screen") return;
  settle();
  start();
  window.scrollTo(0, 0);
  byId("heading").focus({ preventScroll: true });
  byId("announcement").textContent = event.detail.elt.dataset.announcement;
});

showKeys();
start();
