// Shows the OpenAPI document in place of the plain list of calls.
const place = document.getElementById("swagger");
const dark = matchMedia("(prefers-color-scheme: dark)");
const shade = () => document.documentElement.classList.toggle("dark-mode", dark.matches);

shade();
dark.addEventListener("change", shade);
SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // no third party is asked
  syntaxHighlight: { activated: false },
});
