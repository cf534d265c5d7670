// A part of a page that could not be fetched because of what was asked: show the server's page about it instead.
document.addEventListener("htmx:responseError", ({ detail }) => {
  const asked = detail.requestConfig;
  if (asked.verb === "get" && asked.triggeringEvent?.type !== "intersect") location.assign(detail.pathInfo.finalRequestPath);
});
