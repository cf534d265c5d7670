// Links to a feature as JSON or Markdown put it on the clipboard instead; where that cannot be done they stay links.
const told = document.getElementById("copied");
for (const link of document.querySelectorAll("[data-copy-from]")) {
  link.addEventListener("click", async (event) => {
    if (!navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.dataset.copyFrom, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(answer.statusText);
      await navigator.clipboard.writeText(await answer.text());
      told.textContent = `${link.firstChild.textContent.trim()} copied`;
    } catch {
      location.assign(link.href);
    }
  });
}
