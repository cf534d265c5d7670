// Charts of results: each fetches its Vega-Lite specification, takes the theme's colours, and can be saved as PNG or SVG.
// Vega's expressions are interpreted, not compiled, so that the content policy needs no eval.
const PREFIX = "token:";
const PICTURE_WIDTH = 760; // of what is saved
const SCALE = 2;

const theme = () => getComputedStyle(document.documentElement);

function coloured(part, style) {
  if (Array.isArray(part)) return part.map((one) => coloured(one, style));
  if (part && typeof part === "object") {
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, coloured(value, style)]));
  }
  return typeof part === "string" && part.startsWith(PREFIX)
    ? style.getPropertyValue(`--${part.slice(PREFIX.length)}`).trim()
    : part;
}

function view(spec, options) {
  const compiled = vegaLite.compile(spec).spec;
  return new vega.View(vega.parse(compiled, null, { ast: true }), { expr: vega.expressionInterpreter, ...options });
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response.json();
}

async function draw(element) {
  const spec = await fetched(element.dataset.chart);
  let drawn = null;
  const render = () => {
    drawn?.finalize();
    element.replaceChildren();
    drawn = view(coloured(spec, theme()), { renderer: "canvas", container: element, hover: true });
    return drawn.runAsync();
  };
  await render();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
  offer(element);
}

function offer(element) {
  const saves = element.closest("figure").querySelector(".saves");
  for (const kind of ["png", "svg"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind.toUpperCase();
    button.setAttribute("aria-label", `Save as ${kind.toUpperCase()}: ${element.closest("figure").querySelector("figcaption").textContent}`);
    button.addEventListener("click", () => save(element, kind));
    saves.append(button);
  }
}

async function save(element, kind) {
  const spec = await fetched(`${element.dataset.chart}?light=true`); // read on white, whatever the page's theme
  const picture = view({ ...spec, width: PICTURE_WIDTH, autosize: { type: "pad" } }, { renderer: "none" });
  const link = document.createElement("a");
  link.href = await picture.toImageURL(kind, SCALE);
  link.download = `${element.dataset.name}.${kind}`;
  link.click();
  picture.finalize();
}

for (const element of document.querySelectorAll("[data-chart]")) {
  draw(element).catch((error) => {
    element.closest("figure").querySelector("details").open = true; // the table says the same
    throw error;
  });
}
