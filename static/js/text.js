// A text that was read: go from token to token by arrow keys, with the number beside each; choose several by dragging or with Shift;
// stop a reading, copy the address.
const number = (token) => Number(token.id.slice(1));
const tokenAt = (target) => (target instanceof Element ? target.closest("a.t") : null);

function choose(one, other) {
  const form = document.getElementById("from").form;
  form.elements.from.value = Math.min(one, other);
  form.elements.to.value = Math.max(one, other);
  form.requestSubmit();
}

let pressed = null;
document.addEventListener("pointerdown", (event) => {
  pressed = event.button === 0 ? tokenAt(event.target) : null;
});
document.addEventListener("dragstart", (event) => {
  if (tokenAt(event.target)) event.preventDefault(); // a link would be dragged away
});
document.addEventListener("pointerup", (event) => {
  const released = tokenAt(event.target);
  if (pressed && released && pressed !== released) {
    getSelection().removeAllRanges();
    choose(number(pressed), number(released));
  }
  pressed = null;
});

// Before htmx follows the link.
document.addEventListener(
  "click",
  (event) => {
    const token = tokenAt(event.target);
    if (!token || !event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const chosen = [...document.querySelectorAll("a.t.chosen")].map(number);
    const others = chosen.length ? chosen : [number(token)];
    choose(Math.min(number(token), ...others), Math.max(number(token), ...others));
  },
  true,
);

document.addEventListener("click", async ({ target }) => {
  if (target.matches?.("[data-stop]")) htmx.trigger(target.form, "htmx:abort");
  if (!target.matches?.("[data-copy-address]")) return;
  try {
    await navigator.clipboard.writeText(location.href);
    target.textContent = "Copied";
  } catch {
    target.textContent = "Copy it from the address bar"; // no clipboard over plain http
  }
});

// What the server refuses has a page that says so: the form goes there by itself, the ordinary way.
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (detail.requestConfig.verb === "post") detail.elt.submit();
});

// Beside the token that the pointer or the focus is at: its number, and how strongly the feature fires there.
const card = document.createElement("p");
card.id = "reading";
card.setAttribute("role", "status");
card.hidden = true;
document.body.append(card);

function say(token) {
  card.textContent = token.dataset.said;
  card.hidden = false;
  const box = token.getClientRects()[0] ?? token.getBoundingClientRect(); // of its first line
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - card.offsetWidth - 8));
  card.style.left = `${left + scrollX}px`;
  card.style.top = `${(box.top > card.offsetHeight + 12 ? box.top - card.offsetHeight - 6 : box.bottom + 6) + scrollY}px`;
}
function hush() {
  const token = tokenAt(document.activeElement);
  if (token) say(token);
  else card.hidden = true;
}

document.addEventListener("pointerover", ({ target, pointerType }) => {
  if (pointerType !== "mouse") return;
  const token = tokenAt(target);
  if (token) say(token);
  else hush();
});
document.addEventListener("focusin", hush);
document.addEventListener("focusout", () => (card.hidden = true));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") card.hidden = true;
  const token = tokenAt(event.target);
  if (!token || event.ctrlKey || event.metaKey || event.altKey) return;
  const tokens = [...document.querySelectorAll("a.t")];
  const at = tokens.indexOf(token);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  tokens[to]?.focus();
});

// One stop for the tab key, however long the text; what a title would say, the card says.
function settle() {
  for (const button of document.querySelectorAll("[data-copy-address]")) button.hidden = false;
  for (const token of document.querySelectorAll("a.t[title]")) {
    token.dataset.said = token.title;
    token.removeAttribute("title");
  }
  stop(tokenAt(document.activeElement) ?? document.querySelector("a.t.chosen") ?? document.querySelector("a.t"));
  hush();
}
function stop(chosen) {
  for (const token of document.querySelectorAll("a.t")) token.tabIndex = token === chosen ? 0 : -1;
}
document.addEventListener("focusin", ({ target }) => tokenAt(target) && stop(target));
document.addEventListener("htmx:afterSwap", settle);
settle();
