// Charts drawn from the tables below them: what is plotted is what is printed.
import uPlot from "./vendor/uplot-1.6.32/uPlot.esm.js";

const locale = document.documentElement.dataset.locale;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
// light-dark() is resolved only where a property uses it.
function resolved(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = colour(name);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function read(figure) {
  const heads = [...figure.querySelectorAll("th[data-series]")];
  const rows = [...figure.querySelectorAll("tr[data-t]")].reverse();
  const points = heads.map((_, place) => rows.flatMap((row) => {
    const cell = row.cells[place + 1];
    if (cell.dataset.v === undefined) return [];
    return [{ t: Number(row.dataset.t), v: Number(cell.dataset.v), q: cell.dataset.q }];
  }));
  return { heads, points };
}

// A line is broken where a device said nothing for too long; other devices' times do not break it.
function align({ heads, points }) {
  const series = points.map((own, place) => {
    const gap = Number(heads[place].dataset.gap) || Infinity;
    const found = new Map();
    own.forEach((point, i) => {
      if (i && point.t - own[i - 1].t > gap) found.set(own[i - 1].t + gap / 2, null);
      found.set(point.t, point.v);
    });
    return found;
  });
  const times = [...new Set(series.flatMap((own) => [...own.keys()]))].sort((a, b) => a - b);
  return [times, ...series.map((own) => times.map((t) => own.get(t)))];
}

// Spans of findings as bands behind the lines, doubtful values as rings on top of them.
function bands(u, figure, names) {
  const { ctx, bbox } = u;
  for (const row of document.querySelectorAll(".finding")) {
    if (row.dataset.series && !names.includes(row.dataset.series)) continue;
    const from = u.valToPos(Number(row.dataset.from), "x", true);
    const to = row.dataset.to ? u.valToPos(Number(row.dataset.to), "x", true) : Infinity;
    const left = Math.max(from, bbox.left);
    const right = Math.min(to, bbox.left + bbox.width);
    if (right <= left) continue;
    ctx.save();
    ctx.globalAlpha = 0.13;
    ctx.fillStyle = resolved(row.dataset.severity);
    ctx.fillRect(left, bbox.top, Math.max(right - left, 2), bbox.height);
    ctx.restore();
  }
}

function limits(u, figure) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = resolved("alarm");
  ctx.font = `${11 * devicePixelRatio}px system-ui`;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const [name, value] of Object.entries(JSON.parse(figure.dataset.limits))) {
    const y = u.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(name, bbox.left + 6 * devicePixelRatio, y - 4 * devicePixelRatio);
  }
  ctx.restore();
}

function rings(u, points) {
  const { ctx } = u;
  ctx.save();
  ctx.strokeStyle = resolved("warning");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const point of points.flat().filter((each) => each.q)) {
    const x = u.valToPos(point.t, "x", true);
    const y = u.valToPos(point.v, "y", true);
    ctx.beginPath();
    ctx.arc(x, y, 3 * devicePixelRatio, 0, 7);
    ctx.stroke();
  }
  ctx.restore();
}

function options(figure, heads, state, width) {
  const zone = figure.dataset.zone;
  const digits = Number(figure.dataset.decimals);
  const bars = figure.dataset.form === "bars";
  const say = (style) => new Intl.DateTimeFormat(locale, { timeZone: zone, ...style });
  const clock = say({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = say({ day: "numeric", month: "short" });
  const full = say({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: digits });
  const axis = { stroke: resolved("quiet"), grid: { stroke: resolved("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const names = heads.map((head) => head.dataset.series);
  const label = (value) => (value == null ? "–" : `${number.format(value)} ${figure.dataset.unit}`);
  return {
    width,
    height: Math.max(190, Math.min(300, width * 0.34)),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    padding: [12, 24, 0, 0],
    cursor: { y: false, points: { size: 7 } },
    scales: bars ? { x: { range: widened }, y: { range: (_, low, high) => [Math.min(0, low), high * 1.08 || 1] } } : { x: { range: apart } },
    axes: [
      { ...axis, space: 76, incrs: isDaily(state.points) ? [1, 2, 5, 10, 30, 90, 365].map((days) => days * 86400) : undefined, values: (_, splits, __, ___, step) => splits.map((t) => (step >= 86400 ? day : isMidnight(t, clock) ? day : clock).format(t * 1000)) },
      { ...axis, size: 58, incrs: increments(digits), values: (_, splits) => splits.map((v) => number.format(v)) },
    ],
    series: [
      { label: figure.querySelector("th.clock").textContent, value: (_, t) => (t == null ? "–" : full.format(t * 1000)) },
      ...names.map((name, i) => ({
        label: name,
        stroke: resolved(`series-${i + 1}`),
        width: 1.75,
        fill: bars ? resolved(`series-${i + 1}`) : undefined,
        dash: i > 2 ? [6, 3] : undefined,
        paths: bars ? uPlot.paths.bars({ size: [0.7, 40], gap: 1 }) : figure.dataset.form === "state" ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: bars ? false : state.points[i].length === 1 || undefined, size: 4 },
        value: (_, v) => label(v),
      })),
    ],
    hooks: { drawClear: [(u) => bands(u, figure, names)], draw: [(u) => rings(u, state.points), (u) => limits(u, figure)] },
  };
}

// Steps between ticks: none finer than the digits that are shown, or labels would repeat.
const increments = (digits) => Array.from({ length: 16 }, (_, i) => i - digits)
  .flatMap((power) => [1, 2, 2.5, 5].map((step) => Number((step * 10 ** power).toPrecision(3))))
  .filter((step) => Number.isInteger(Number((step * 10 ** digits).toPrecision(12))));

// One value a day needs no hours below it; a day with a changed clock has 23.
const isDaily = (points) => points.some((own) => own.length > 1)
  && points.every((own) => own.every((each, i) => !i || each.t - own[i - 1].t > 82000));

// Room for half a bar on either side.
function widened(u, low, high) {
  const times = u.data[0];
  const steps = times.slice(1).map((t, i) => t - times[i]);
  const half = Math.min(...steps, 86400) / 2;
  return [low - half, high + half];
}

// A single value stands in the middle of an hour, not of years.
const apart = (u, low, high) => (u.data[0].length === 1 ? [low - 1800, low + 1800] : [low, high]);

const isMidnight = (t, clock) => /^0?0.00$/.test(clock.format(t * 1000));

function draw(figure) {
  const plot = figure.querySelector(".plot");
  const table = read(figure);
  if (!table.points.some((own) => own.length)) {
    plot.state?.chart.destroy();
    plot.state = undefined;
    return finish(figure);
  }
  const state = plot.state?.names === names(table.heads) ? plot.state : undefined;
  if (state) {
    state.points = table.points;
    state.chart.setData(align(table));
  } else {
    plot.state?.chart.destroy();
    const fresh = { names: names(table.heads), points: table.points };
    fresh.chart = new uPlot(options(figure, table.heads, fresh, plot.clientWidth), align(table), plot);
    plot.state = fresh;
  }
  finish(figure);
}

const names = (heads) => heads.map((head) => head.dataset.series).join("\n");
const finish = (figure) => { figure.dataset.ready = "chart"; };
const drawAll = () => document.querySelectorAll("figure.panel").forEach(draw);

function again() {
  document.querySelectorAll("figure.panel .plot").forEach((plot) => {
    plot.state?.chart.destroy();
    plot.state = undefined;
  });
  drawAll();
}

document.documentElement.classList.add("scripted");
drawAll();
document.addEventListener("htmx:after:swap", drawAll);
addEventListener("resize", () => {
  document.querySelectorAll("figure.panel .plot").forEach((plot) => {
    const width = plot.clientWidth;
    plot.state?.chart.setSize({ width, height: Math.max(190, Math.min(300, width * 0.34)) });
  });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
