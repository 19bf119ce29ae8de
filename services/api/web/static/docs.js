// The API's own document, drawn by Swagger UI from this origin alone.
const place = document.querySelector("#reference");
SwaggerUIBundle({
  domNode: place,
  url: "/openapi.json",
  deepLinking: true,
  validatorUrl: null,
  onComplete: () => place.setAttribute("data-ready", ""),
});
