// Tiles that follow the live stream: values as they are committed, ages as they pass.
const locale = document.documentElement.dataset.locale;
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "always" });
const units = [["day", 86400, 172800], ["hour", 3600, 3600], ["minute", 60, 60], ["second", 1, 0]];
const silentAfter = 3; // nominal intervals, as in status.py
const tiles = () => document.getElementById("tiles");
const pulse = document.getElementById("pulse");

// The server's clock decides what is old, not the reader's.
const skew = Number(tiles().dataset.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;
// Simulated and recorded devices are judged by the newest value of their pilot.
let present = Number(tiles().dataset.present) || undefined;

function ago(seconds) {
  const [unit, size] = units.find(([name, , from]) => seconds >= from || name === "second");
  return relative.format(-Math.max(1, Math.floor(seconds / size)), unit);
}

function show(row) {
  const place = document.querySelector(`[data-datastream="${row.datastream_id}"]`);
  if (!place) return false;
  const time = Date.parse(row.time) / 1000;
  const data = place.querySelector("data");
  const digits = Number(place.dataset.decimals);
  const style = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  place.dataset.time = time;
  data.value = row.value;
  data.textContent = new Intl.NumberFormat(locale, style).format(row.value);
  const quality = place.querySelector(".quality");
  quality.dataset.quality = row.quality;
  quality.textContent = quality.getAttribute(`data-word-${row.quality}`) ?? "";
  const tile = place.closest(".tile");
  tile.classList.add("fresh");
  setTimeout(() => tile.classList.remove("fresh"), 700);
  return true;
}

function grow() {
  for (const tile of tiles().querySelectorAll(".tile")) {
    const isArea = tile.classList.contains("area"); // only derived values, of no one device
    const times = [...tile.querySelectorAll(isArea ? "[data-time]" : "[data-time]:not([data-derived])")]
      .map((place) => Number(place.dataset.time)).filter(Boolean);
    if (!times.length) continue;
    const age = now() - Math.max(...times);
    if (isArea) {
      tile.querySelector(".age").textContent = ago(age);
      continue;
    }
    const interval = Number(tile.dataset.interval);
    const judged = (present ?? now()) - Math.max(...times);
    const status = !interval ? "unjudged" : judged > silentAfter * interval ? "silent" : "live";
    tile.querySelector(".age").textContent = ago(age);
    if (status === tile.dataset.status) continue;
    tile.dataset.status = tile.querySelector(".tile-foot .status").dataset.status = status;
    tile.querySelector(".state").textContent = tiles().getAttribute(`data-word-${status}`);
  }
}

function say(state) {
  pulse.dataset.state = state;
  pulse.textContent = pulse.dataset[state];
}

function stale(id) {
  document.getElementById(id)?.dispatchEvent(new CustomEvent("stale"));
}

const stream = new EventSource(tiles().dataset.live);
stream.addEventListener("open", () => say("on"));
stream.addEventListener("error", () => say("off"));
stream.addEventListener("reading", (event) => {
  const device = tiles().dataset.device; // of a device's own page
  const all = JSON.parse(event.data);
  const heard = all.filter((row) => !row.derived_by).map((row) => Date.parse(row.time) / 1000);
  if (present) present = Math.max(present, ...heard);
  const rows = all.filter((row) => !device || row.device_id === Number(device));
  if (!rows.length) return;
  const known = rows.map(show).every(Boolean);
  grow();
  stale("evidence");
  if (!known) stale("tiles"); // a device or a property that was not here before
});
stream.addEventListener("lagged", () => stale("tiles"));
addEventListener("pagehide", () => stream.close());
setInterval(grow, 1000);
