// The map, drawn from the list beside it. No tiles, no fonts, nothing from elsewhere.
import * as maplibre from "./vendor/maplibre-gl-6.17.0/maplibre-gl.mjs";

const box = document.getElementById("map");

function colour(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const point = (place, properties) => ({
  type: "Feature",
  geometry: { type: "Point", coordinates: [Number(place.dataset.lon), Number(place.dataset.lat)] },
  properties,
});

// The legend goes from well to worst; the worst is drawn on top.
const severities = () => [...document.querySelectorAll(".legend svg.mark")].map((mark) => mark.dataset.status);

function places() {
  const ranks = severities();
  const sites = [...document.querySelectorAll("#places [data-site]")]
    .map((place) => point(place, { name: place.dataset.name, href: place.querySelector("a").getAttribute("href") }));
  const devices = [...document.querySelectorAll("#places [data-device][data-lat]")]
    .map((place) => point(place, {
      status: place.dataset.status,
      rank: ranks.indexOf(place.dataset.status),
      href: place.dataset.href,
      name: place.dataset.device,
      words: place.querySelector(".quiet").textContent.trim(),
    }));
  return { sites, devices };
}

const collection = (features) => ({ type: "FeatureCollection", features });

// Meridians and parallels as wide apart as the eye likes at this zoom.
function graticule(map) {
  const step = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005]
    .find((each) => each * 2 ** map.getZoom() < 90) ?? 0.002;
  const [[west, south], [east, north]] = map.getBounds().toArray();
  const lines = [];
  for (let x = Math.floor(west / step) * step; x <= east; x += step) lines.push([[x, south], [x, north]]);
  for (let y = Math.floor(south / step) * step; y <= north; y += step) lines.push([[west, y], [east, y]]);
  return collection([{ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } }]);
}

function style() {
  const text = { "text-font": ["sans-serif"], "text-field": ["get", "name"] };
  const halo = { "text-color": colour("ink"), "text-halo-color": colour("card"), "text-halo-width": 1.6 };
  const empty = { type: "geojson", data: collection([]) };
  return {
    version: 8,
    sources: { land: { type: "geojson", data: box.dataset.outline }, grid: empty, sites: empty, devices: empty },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": colour("sea") } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": colour("land") } },
      { id: "border", type: "line", source: "land", paint: { "line-color": colour("border"), "line-width": 1 } },
      { id: "grid", type: "line", source: "grid", paint: { "line-color": colour("grid"), "line-width": 1 } },
      { id: "site-ring", type: "circle", source: "sites", paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, 17, 12, 8], "circle-color": colour("accent"), "circle-opacity": 0.14, "circle-stroke-color": colour("accent"), "circle-stroke-width": 1.5 } },
      { id: "devices", type: "symbol", source: "devices", minzoom: 6, layout: {
        "icon-image": ["get", "status"], "icon-size": 0.5, "icon-padding": 0, "icon-allow-overlap": true,
        "symbol-sort-key": ["get", "rank"],
        ...text, "text-field": ["step", ["zoom"], "", 12, ["get", "name"]], "text-size": 11.5, "text-optional": true,
        "text-variable-anchor": ["top", "bottom", "left", "right"], "text-radial-offset": 0.9,
      }, paint: halo },
      { id: "site-names", type: "symbol", source: "sites", layout: { ...text, "text-size": 15, "text-variable-anchor": ["bottom", "top", "right", "left"], "text-radial-offset": 1.4 }, paint: halo },
    ],
  };
}

// The signs of the legend become the signs on the map: one drawing for both.
async function addSigns(map) {
  await Promise.all([...document.querySelectorAll(".legend svg.mark")].map(async (mark) => {
    const sign = mark.cloneNode(true);
    const halo = sign.cloneNode(true);
    sign.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    sign.setAttribute("viewBox", "-2 -2 20 20");
    for (const side of ["width", "height"]) sign.setAttribute(side, 80);
    const under = document.createElementNS("http://www.w3.org/2000/svg", "g");
    under.setAttribute("color", colour("card"));
    under.setAttribute("stroke-width", 5);
    under.append(...halo.childNodes);
    sign.prepend(under);
    sign.setAttribute("color", getComputedStyle(mark).color);
    const image = new Image(80, 80);
    image.src = `data:image/svg+xml,${encodeURIComponent(sign.outerHTML)}`;
    await image.decode();
    map.addImage(mark.dataset.status, image, { pixelRatio: 2 });
  }));
}

function fill(map) {
  const { sites, devices } = places();
  map.getSource("sites").setData(collection(sites));
  map.getSource("devices").setData(collection(devices));
  map.getSource("grid").setData(graticule(map));
}

function everything() {
  const { sites, devices } = places();
  const bounds = new maplibre.LngLatBounds();
  [...sites, ...devices].forEach((each) => bounds.extend(each.geometry.coordinates));
  return bounds.isEmpty() ? [[94, -11], [142, 21]] : bounds;
}

function listen(map) {
  const popup = new maplibre.Popup({ closeButton: false, offset: 12, maxWidth: "18rem" });
  for (const layer of ["devices", "site-ring"]) {
    map.on("mousemove", layer, ({ features: [feature] }) => {
      map.getCanvas().style.cursor = "pointer";
      const { name, words } = feature.properties;
      popup.setLngLat(feature.geometry.coordinates).setText(words ? `${name}: ${words}` : name).addTo(map);
    });
    map.on("mouseleave", layer, () => {
      map.getCanvas().style.cursor = "";
      popup.remove();
    });
    map.on("click", layer, ({ features: [feature] }) => location.assign(feature.properties.href));
  }
  map.on("moveend", () => map.getSource("grid").setData(graticule(map)));
}

function start() {
  const map = new maplibre.Map({
    container: box,
    style: style(),
    bounds: everything(),
    fitBoundsOptions: { padding: { top: 70, left: 84, right: 84, bottom: 110 }, maxZoom: 15 },
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    locale: { "NavigationControl.ZoomIn": box.dataset.in, "NavigationControl.ZoomOut": box.dataset.out, "Map.Title": box.dataset.title },
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl(), "bottom-right");
  map.on("load", async () => {
    await addSigns(map);
    fill(map);
    listen(map);
    map.once("idle", () => { box.dataset.ready = "map"; });
  });
  document.addEventListener("htmx:after:swap", () => fill(map));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { map.remove(); start(); }, { once: true });
}

start();
