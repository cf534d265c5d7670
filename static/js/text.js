// A text that was read: choose several tokens by dragging or with Shift, stop a reading, copy the address.
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

function offer() {
  for (const button of document.querySelectorAll("[data-copy-address]")) button.hidden = false;
}
document.addEventListener("htmx:afterSwap", offer);
offer();
