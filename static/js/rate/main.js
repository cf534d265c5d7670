// Rating with a script: keys, time on task, and answers that survive a lost connection, a closed tab and an ended login.
// Without it the forms work as they are.
//
// htmx sends a form and puts the next screen in the place of #screen; the rest of the page stays. It settles at once
// (defaultSettleDelay 0, in the page's head), so that no key can fall between a screen's coming and its being ready.

import { startClocks } from "./clocks.js";
import { startKeys } from "./keys.js";
import { startQuestions } from "./questions.js";
import { announce, keepDraft, restore, sendKept, settle, startSending } from "./sending.js";

const byId = (id) => document.getElementById(id);

function start() {
  const form = byId("answer");
  const entry = form && restore(form);
  startClocks(entry?.seen ?? 0, Number(byId("screen")?.dataset.wait ?? 0));
  startQuestions();
  if (!entry) return;
  announce(entry.waiting ? "An answer that waited here is being sent." : "What you had entered is here again.");
  if (entry.waiting) entry.form.requestSubmit();
}

for (const name of ["input", "change"]) {
  document.addEventListener(name, (event) => {
    const form = event.target.closest("#answer");
    if (form) keepDraft(form);
  });
}

document.addEventListener("htmx:load", (event) => {
  if (event.detail.elt.id !== "screen") return;
  settle();
  window.scrollTo(0, 0);
  byId("heading").focus({ preventScroll: true });
  announce(event.detail.elt.dataset.announcement);
  start();
});

startKeys();
startSending();
start();
sendKept();
document.documentElement.classList.add("js");
