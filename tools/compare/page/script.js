"use strict";
// Draws the figures with plotly, and on a live page asks for what is new. curves.js has what is drawn.

const STRIP = 2, FEWEST_STRIPS = 100, MOST_STRIPS = 900; // pixels; of each, the lowest and the highest value are drawn
const REFRESH_SECONDS = 5;
const X_TITLES = { steps: "step", tokens: "tokens" };
const UNITS = [[1, "s"], [60, "min"], [3600, "h"]];
const one = (id) => document.getElementById(id);
const plotOf = (key) => document.querySelector(`.plot[data-key="${CSS.escape(key)}"]`);
const isTouch = matchMedia("(pointer: coarse)").matches;

let shown = { runs: [], figures: [] };
let unit = UNITS[0]; // of training time
let smoothingIsChosen = false;
const hidden = new Set(); // names of runs
let xRange = null; // of all figures, as plotly has it: exponents on a log axis
const yRanges = {}; // of figures that are zoomed, by key

const view = () => ({
  x: one("x").value, n: Number(one("smoothing").value), xLog: one("x-log").checked, yLog: one("y-log").checked, xRange, unit,
});

function axis(log, range, title) {
  return {
    type: log ? "log" : "linear", title: { text: title, font: { size: 12 }, standoff: 6 }, gridcolor: "#e5e8ec", linecolor: "#8c959f",
    zeroline: false, automargin: true, exponentformat: "SI", ...(range ? { range, autorange: false } : { autorange: true }),
  };
}

function drawFigure(figure) {
  const place = plotOf(figure.key), chosen = view(), visible = shown.runs.filter((run) => !hidden.has(run.name));
  const nStrips = Math.min(MOST_STRIPS, Math.max(FEWEST_STRIPS, Math.floor(place.clientWidth / STRIP)));
  const lines = visible.flatMap((run) => linesOf(run, shown.runs.indexOf(run), figure, chosen, nStrips));
  const title = X_TITLES[chosen.x] ?? `training time (${unit[1]})`;
  const layout = {
    margin: { l: 48, r: 10, t: 8, b: 38 }, hovermode: "x unified", dragmode: isTouch ? false : "zoom", showlegend: false,
    xaxis: axis(chosen.xLog, xRange ?? wholeRange(visible, chosen), title), yaxis: axis(chosen.yLog, yRanges[figure.key], ""), font: { color: "#1b1f24", size: 12 },
    hoverlabel: { font: { size: 11 } }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
  };
  const config = {
    responsive: true, displaylogo: false, displayModeBar: true, doubleClick: "autosize",
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "autoScale2d"]],
  };
  const isNew = !place.classList.contains("js-plotly-plot");
  Plotly.react(place, lines, layout, config);
  if (isNew) place.on("plotly_relayout", (change) => zoomed(figure.key, change));
}

// Figures in view are drawn, one in each frame, so that the page answers meanwhile; the others once they come into view.
const stale = new Set(), inView = new Set(); // keys of figures
let frame = 0;
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inView.add(target.dataset.key);
    else inView.delete(target.dataset.key);
  }
  drawNext();
}, { rootMargin: "200px" });

function draw() {
  for (const { key } of shown.figures) stale.add(key);
  drawNext();
}

function drawNext() {
  const figure = shown.figures.find(({ key }) => stale.has(key) && inView.has(key));
  if (!figure || frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    stale.delete(figure.key);
    drawFigure(figure);
    drawNext();
  });
}

function zoomed(key, change) {
  if ("xaxis.range[0]" in change) xRange = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  if ("yaxis.range[0]" in change) yRanges[key] = [change["yaxis.range[0]"], change["yaxis.range[1]"]];
  if (change["xaxis.autorange"]) xRange = null;
  if (change["yaxis.autorange"]) delete yRanges[key];
  if (Object.keys(change).some((name) => /^[xy]axis\./.test(name))) draw();
}

function resetZoom() {
  xRange = null;
  for (const key of Object.keys(yRanges)) delete yRanges[key];
  draw();
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function swatch(number) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(made.namespaceURI, "line");
  const dash = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" }[dashOf(number)];
  const attributes = { x1: 0, x2: 26, y1: 6, y2: 6, "stroke-width": 3, stroke: colourOf(number), "stroke-dasharray": dash };
  for (const [key, value] of Object.entries(attributes)) line.setAttribute(key, value);
  made.setAttribute("width", 26);
  made.setAttribute("height", 12);
  made.setAttribute("aria-hidden", "true");
  made.append(line);
  return made;
}

function figureBox(figure) {
  const plot = element("div", { className: "plot" });
  plot.dataset.key = figure.key;
  observer.observe(plot);
  return element("div", { className: "figure" }, element("h3", { textContent: figure.title }), plot);
}

// Makes the legend and a place for each figure, and keeps those that are there.
function prepare() {
  const longest = Math.max(0, ...shown.runs.map((run) => run.seconds.at(-1) ?? 0));
  unit = UNITS.findLast(([size]) => longest >= 2 * size) ?? UNITS[0];
  if (one("legend").querySelectorAll("label").length !== shown.runs.length) {
    one("legend").querySelectorAll("label").forEach((label) => label.remove());
    shown.runs.forEach((run, number) => {
      const box = element("input", { type: "checkbox", checked: !hidden.has(run.name) });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(run.name);
        else hidden.add(run.name);
        draw();
      });
      one("legend").append(element("label", {}, box, swatch(number), element("span", { textContent: run.name })));
    });
  }
  shown.figures.forEach((figure, number) => {
    const box = plotOf(figure.key)?.parentElement ?? figureBox(figure), there = one("figures").children[number];
    if (box !== there) one("figures").insertBefore(box, there ?? null);
  });
  one("curves").hidden = !shown.figures.length;
}

function show(content) {
  const most = Math.max(0, ...content.runs.map((run) => run.steps.length));
  if (!smoothingIsChosen && most) { // as much smoothing as the records can bear
    smoothingIsChosen = true;
    one("smoothing").value = most > 5000 ? "100" : most > 400 ? "20" : most > 50 ? "5" : "1";
  }
  shown = content;
  prepare();
  draw();
}

// ---- live

let version = "";

function say(text, isError) {
  one("status").textContent = text;
  one("status").classList.toggle("error", isError);
}

async function refresh() {
  try {
    const answer = await fetch(`api/runs?since=${encodeURIComponent(version)}`).catch(() => {
      throw new Error("the server is not reached. Is it still running?");
    });
    const content = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(content.error.message);
    if (content) {
      const open = new Set([...document.querySelectorAll("details[open]")].map((details) => details.id));
      one("tables").innerHTML = content.tables; // made by the server, which escapes what is a run's
      if (shown.runs.length) for (const details of document.querySelectorAll("details")) details.open = open.has(details.id);
      show(content);
      version = content.version;
    }
    say(`Live: asked at ${new Date().toLocaleTimeString()}.`, false);
  } catch (error) {
    say(`Not up to date: ${error.message}`, true);
  }
  setTimeout(refresh, 1000 * REFRESH_SECONDS);
}

for (const id of ["x", "x-log", "y-log"]) one(id).addEventListener("change", resetZoom);
one("smoothing").addEventListener("change", () => {
  smoothingIsChosen = true;
  draw();
});
one("reset").addEventListener("click", resetZoom);
if (one("data")) show(JSON.parse(one("data").textContent));
else refresh();
