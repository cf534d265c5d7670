// Two clocks of a screen: how long it was really in view, and how long until its answer may be sent.

let seen = 0;
let since = null;

function look() {
  const now = performance.now();
  if (since !== null) seen += now - since;
  since = document.visibilityState === "visible" ? now : null;
}
document.addEventListener("visibilitychange", look);

/** Milliseconds in view so far. */
export function seenSoFar() {
  look();
  return Math.round(seen);
}

/** Start over for a new screen; `before` milliseconds were seen in an earlier visit to it. */
export function startClocks(before, wait) {
  seen = before;
  since = null;
  look();
  waitFor(wait);
}

let ready = 0; // when the answer may be sent
let tick = null;

/** Whole seconds until the answer may be sent. */
export const secondsLeft = () => Math.max(0, Math.ceil((ready - performance.now()) / 1000));

/** Count down on the buttons that send; they keep their focus, so they are not disabled but refuse. */
export function waitFor(seconds) {
  ready = performance.now() + seconds * 1000;
  clearInterval(tick);
  if (show() > 0) tick = setInterval(() => show() || clearInterval(tick), 250);
}

function show() {
  const left = secondsLeft();
  for (const button of document.querySelectorAll("#screen .submit")) {
    if (left) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    const text = button.querySelector(".countdown");
    if (text.textContent !== (left ? `${left} s` : "")) text.textContent = left ? `${left} s` : "";
  }
  return left;
}
