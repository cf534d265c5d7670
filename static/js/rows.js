// Rows of contexts: a press opens one in place; a pointer, a finger or the arrow keys say which token fires how strongly.
// Each row holds its activations in base64: the positions (a byte each, two where `data-w`), then shares of `data-v` as two bytes.
(() => {
  const card = document.createElement("p");
  card.id = "reading";
  card.setAttribute("role", "status");
  card.hidden = true;
  document.body.append(card);
  const rowOf = (target) => target.closest?.(".hits > li");

  const activations = (row) => {
    if (row.activations) return row.activations;
    const bytes = Uint8Array.from(atob(row.dataset.w ?? row.dataset.a), (char) => char.charCodeAt(0));
    const size = row.dataset.w ? 2 : 1;
    const count = bytes.length / (size + 2);
    const number = (at) => bytes[at] + 256 * bytes[at + 1];
    row.activations = Array.from({ length: count }, (_, n) => ({
      position: size === 2 ? number(2 * n) : bytes[n],
      value: (number(size * count + 2 * n) / 65535) * Number(row.dataset.v),
    }));
    return row.activations;
  };

  const say = (mark, row) => {
    const all = [...row.querySelectorAll("p i, p b")];
    const found = activations(row)[all.indexOf(mark)];
    if (!found) return;
    const value = Number(found.value.toPrecision(3)).toString().replace("-", "−");
    card.textContent = `“${mark.textContent.trim() || mark.textContent}” ${value} · token ${found.position + 1} · ${row.querySelector("small").firstChild.textContent.split(" · token ")[0]}`;
    card.hidden = false;
    const box = mark.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - card.offsetWidth - 8));
    card.style.left = `${left + scrollX}px`;
    card.style.top = `${(box.top > card.offsetHeight + 12 ? box.top - card.offsetHeight - 6 : box.bottom + 6) + scrollY}px`;
  };
  const hush = () => {
    card.hidden = true;
    document.querySelector(".hits .at")?.classList.remove("at");
  };

  const open = (row, on) => {
    row.classList.toggle("open", on);
    row.classList.toggle("shut", !on);
    row.querySelector("a").setAttribute("aria-expanded", String(on));
    const address = `#${row.id}`;
    if (on) history.replaceState(history.state, "", address);
    else if (location.hash === address) history.replaceState(history.state, "", location.pathname + location.search);
  };
  const isOpen = (row) => row.classList.contains("open") || (row.matches(":target") && !row.classList.contains("shut"));

  document.addEventListener("click", (event) => {
    const row = rowOf(event.target);
    if (!row) return hush();
    const link = event.target.closest("a");
    if (link && !link.getAttribute("href").startsWith("#")) return;
    const mark = event.target.closest("p i, p b");
    if (!link && isOpen(row)) return mark ? say(mark, row) : hush();
    if (!link && String(getSelection())) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(row, !isOpen(row));
    if (mark) say(mark, row);
  });
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    const mark = event.target.closest?.(".hits p i, .hits p b");
    if (mark) say(mark, rowOf(mark));
    else if (!document.querySelector(".hits .at")) hush();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hush();
    const row = rowOf(event.target);
    if (!row || !["ArrowLeft", "ArrowRight"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    const marks = [...row.querySelectorAll("p i, p b")];
    const from = marks.findIndex((mark) => mark.classList.contains("at"));
    const step = event.key === "ArrowRight" ? 1 : -1;
    const to = from < 0 ? marks.findIndex((mark) => mark.matches("b")) : Math.min(Math.max(from + step, 0), marks.length - 1);
    event.preventDefault();
    hush();
    marks[to].classList.add("at");
    say(marks[to], row);
  });
  document.addEventListener("focusout", (event) => { if (rowOf(event.target)) hush(); });
})();
