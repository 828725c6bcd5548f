"use strict";
// A run's records as the lines of a figure: which can be drawn, smoothed, and thinned to what a screen can show. `view` is what is chosen
// on the page: { x, xLog, yLog, n, xRange, unit }.

const COLOURS = ["#0a58ca", "#c2410c", "#15803d", "#a21caf", "#0e7490", "#854d0e", "#4b5563", "#be123c"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const MARKERS_BELOW = 60;
const colourOf = (number) => COLOURS[number % COLOURS.length];
const dashOf = (number) => DASHES[Math.floor(number / COLOURS.length) % DASHES.length];

function xValues(run, { x, unit }) {
  if (x === "steps") return run.steps;
  if (x === "tokens") return run.steps.map((step) => step * run.tokens_per_step);
  return run.seconds.map((second) => second === null ? null : second / unit[0]);
}

// The records of a figure that can be drawn, without those of skipped steps.
function points(run, key, view) {
  const skipped = new Set(run.skipped), xs = xValues(run, view), ys = run.values[key];
  const found = { x: [], y: [], step: [] };
  ys.forEach((y, i) => {
    if (y === null || xs[i] === null || skipped.has(i) || (view.xLog && xs[i] <= 0) || (view.yLog && y <= 0)) return;
    found.x.push(xs[i]);
    found.y.push(y);
    found.step.push(run.steps[i]);
  });
  return found;
}

// Exponential mean over about n values, without its bias towards zero at the start, as Adam's.
function smoothed(values, n) {
  const keep = 1 - 2 / (n + 1);
  let mean = 0, weight = 0;
  return values.map((value) => {
    mean = keep * mean + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return mean / weight;
  });
}

// The places of the lowest and the highest value in each strip of what is visible, and one place beyond either end.
function thinned({ x, y }, { xLog, xRange }, nStrips) {
  const position = (value) => xLog ? Math.log10(value) : value;
  let first = 0, end = x.length;
  if (xRange) {
    const [low, high] = [Math.min(...xRange), Math.max(...xRange)];
    while (first < end && position(x[first]) < low) first++;
    while (end > first && position(x[end - 1]) > high) end--;
  }
  const kept = first > 0 ? [first - 1] : [];
  if (end - first <= 2 * nStrips) {
    for (let i = first; i < end; i++) kept.push(i);
  } else {
    const start = position(x[first]), width = (position(x[end - 1]) - start) / nStrips || 1;
    const stripOf = (i) => Math.floor((position(x[i]) - start) / width);
    for (let i = first; i < end;) {
      const strip = stripOf(i);
      let lowest = i, highest = i;
      for (; i < end && stripOf(i) === strip; i++) {
        if (y[i] < y[lowest]) lowest = i;
        if (y[i] > y[highest]) highest = i;
      }
      kept.push(Math.min(lowest, highest));
      if (lowest !== highest) kept.push(Math.max(lowest, highest));
    }
  }
  if (end < x.length) kept.push(end);
  return kept;
}

const take = (values, places) => places.map((place) => values[place]);
// plotly reads HTML in names.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shortName = (name) => plain(name.length > 32 ? "…" + name.slice(-31) : name);

// A mark for each skipped step, on the curve, as its own loss would set the scale of the figure.
function skippedMarks(run, key, view, curve, colour) {
  const xs = xValues(run, view), places = run.skipped.filter((i) => xs[i] !== null && !(view.xLog && xs[i] <= 0));
  if (!places.length) return [];
  const heights = places.map((i) => {
    const after = curve.step.findIndex((step) => step > run.steps[i]);
    return curve.y[after < 0 ? curve.y.length - 1 : Math.max(0, after - 1)] ?? run.values[key][i];
  });
  const text = places.map((i) => `step ${run.steps[i]} skipped, ${run.values[key][i] ?? "not finite"}`);
  return [{
    x: take(xs, places), y: heights, text, name: shortName(run.name), mode: "markers", type: "scatter", showlegend: false,
    marker: { symbol: "x", size: 9, color: colour, line: { color: "#fff", width: 1 } }, hovertemplate: "%{text}<extra></extra>",
  }];
}

// The lines of a run in a figure: what was recorded, faint, and its mean.
function linesOf(run, number, figure, view, nStrips) {
  const raw = points(run, figure.key, view), smooths = figure.noisy && view.n > 1;
  const curve = smooths ? { ...raw, y: smoothed(raw.y, view.n) } : raw, colour = colourOf(number);
  const line = (found, width, more) => {
    const places = thinned(found, view, nStrips), isSparse = places.length < MARKERS_BELOW && found.x.length < run.steps.length / 2;
    return {
      x: take(found.x, places), y: take(found.y, places), customdata: take(found.step, places), name: shortName(run.name),
      type: "scatter", mode: isSparse ? "lines+markers" : "lines", line: { color: colour, dash: dashOf(number), width },
      marker: { size: 5 }, showlegend: false, ...more,
    };
  };
  return [
    ...(smooths ? [line(raw, 1, { opacity: 0.25, hoverinfo: "skip" })] : []),
    line(curve, 1.8, { hovertemplate: "%{y:.5~g} at step %{customdata}" }),
    ...(figure.key === "loss" ? skippedMarks(run, figure.key, view, curve, colour) : []),
  ];
}

// The whole x axis, the same in all figures, with a little room at its ends.
function wholeRange(runs, view) {
  let low = Infinity, high = -Infinity;
  for (const value of runs.flatMap((run) => xValues(run, view))) {
    if (value === null || (view.xLog && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return null;
  if (view.xLog) [low, high] = [Math.log10(low), Math.log10(high)];
  const room = 0.02 * (high - low) || 0.5;
  return [low - room, high + room];
}
