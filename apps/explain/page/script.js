"use strict";
// Tokens come from any text: they become text nodes here, never HTML.

const MOST_BITS = 12; // of surprisal, for the strongest colour
const LISTED = 10; // tokens in the list of influences
const BITS_METHODS = new Set(["leave-one-out", "gradient x input"]); // the others are shares of one
const UNDEFINED = -128; // a signed byte of page.py
const COLOURS = { surprise: "--surprise", helps: "--helps", hurts: "--hurts" };

const one = (id) => document.getElementById(id);
const text = one("text");
const tip = one("tip");
const layerChoice = one("layer");
const headChoice = one("head");
let shown = null; // the explanation, unpacked
let chosen = -1; // the token whose prediction is explained
let method = "";

function element(name, content, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(content);
  return made;
}

// A token where spaces and line breaks must be seen.
function label(piece) {
  return piece.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\r", "↵").replaceAll("\t", "⇥");
}

function colour(kind, strength) {
  return strength > 0.005 ? `rgb(var(${COLOURS[kind]}) / ${(0.85 * Math.min(1, strength)).toFixed(3)})` : "";
}

function inBits(bits) {
  return `${bits.toFixed(bits < 10 ? 2 : 1)} bits`;
}

function inPercent(part) {
  const percent = 100 * part;
  return percent < 0.1 ? "<\u00a00.1\u00a0%" : `${percent.toFixed(percent < 10 ? 1 : 0)}\u00a0%`;
}

function asValue(value) {
  if (Number.isNaN(value)) return "–";
  if (!BITS_METHODS.has(method)) return inPercent(value);
  if (Math.abs(value) < 0.005) return value ? "< 0.01 bits" : inBits(0);
  return `${value > 0 ? "+" : "−"}${inBits(Math.abs(value))}`;
}

// Unpacking: see page.py.

async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function explanation(content) {
  const { layers, heads, kept, pieces } = content;
  const count = layers * (heads + 1) * pieces.length * kept;
  const attention = new Uint8Array(await unpacked(content.attention));
  const keys = new Uint16Array(count);
  for (let at = 0; at < count; at++) {
    const step = attention[at] + 256 * attention[count + at];
    keys[at] = at % kept ? keys[at - 1] + step : step;
  }
  const influences = new Int8Array(await unpacked(content.influences));
  return { ...content, keys, weights: attention.subarray(2 * count), influences };
}

// The influences of the tokens before `token` by the chosen method; for a head, of its strongest keys only.
function influencesOn(token) {
  const size = shown.pieces.length;
  const [layer, head] = [Number(layerChoice.value), Number(headChoice.value)];
  const found = new Float64Array(token);
  if (method === "attention" && layer) {
    const first = (((layer - 1) * (shown.heads + 1) + head) * size + token) * shown.kept;
    for (let at = first; at < first + shown.kept; at++) {
      if (shown.weights[at]) found[shown.keys[at]] = (shown.weights[at] / 255) ** 2;
    }
    return found;
  }
  const place = shown.methods.indexOf(method);
  const codes = shown.influences.subarray((place * size + token) * size, (place * size + token) * size + token);
  const scale = shown.scales[place][token];
  for (let at = 0; at < token; at++) {
    found[at] = codes[at] === UNDEFINED ? NaN : Math.sign(codes[at]) * (codes[at] / 127) ** 2 * scale;
  }
  return found;
}

// The page.

function tokenElements() {
  return text.children;
}

function showText() {
  const made = shown.pieces.map((piece, index) => {
    const token = element("span", piece.replace(/\r?\n|\r/g, "↵\n"), { className: "token", tabIndex: -1 });
    if (/^(\\x[0-9a-f]{2})+$/.test(piece)) token.classList.add("cut");
    token.setAttribute("role", "button");
    token.setAttribute("aria-pressed", "false");
    const bits = shown.surprisal[index];
    token.setAttribute("aria-label", `${label(piece)}, ${bits === null ? "not predicted" : inBits(bits)}`);
    token.dataset.index = index;
    return token;
  });
  text.replaceChildren(...made);
  made[0].tabIndex = 0;
}

function paint() {
  const influences = chosen > 0 ? influencesOn(chosen) : null;
  const most = influences ? Math.max(...influences.map((value) => Math.abs(value) || 0)) : 0;
  Array.from(tokenElements()).forEach((token, index) => {
    const value = influences && index < chosen ? influences[index] || 0 : 0;
    token.style.background = influences
      ? colour(value < 0 ? "hurts" : "helps", most ? Math.abs(value) / most : 0)
      : colour("surprise", (shown.surprisal[index] ?? 0) / MOST_BITS);
    token.classList.toggle("later", chosen >= 0 && index > chosen);
    token.classList.toggle("chosen", index === chosen);
    token.setAttribute("aria-pressed", String(index === chosen));
  });
  showLegend(influences, most);
  showChosen(influences, most);
  showAgreement();
}

function scale(...colours) {
  const made = element("span", "", { className: "scale" });
  made.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  return made;
}

function showLegend(influences, most) {
  const legend = one("legend");
  const strong = (kind) => colour(kind, 1);
  if (!influences) {
    legend.replaceChildren("Surprisal: 0", scale("#fff", strong("surprise")), `${MOST_BITS} bits or more`);
  } else if (BITS_METHODS.has(method)) {
    const range = inBits(most);
    legend.replaceChildren(`hurts: −${range}`, scale(strong("hurts"), "#fff", strong("helps")), `+${range}: helps`);
  } else {
    legend.replaceChildren("Influence: 0", scale("#fff", strong("helps")), inPercent(most));
  }
}

function row(name, number, strength, kind, value) {
  const made = document.createElement("li");
  const title = element("bdi", label(name), { className: "name", title: label(name) });
  if (number) title.append(element("span", ` ${number}`, { className: "number" }));
  const bar = element("span", "", { className: "bar" });
  bar.style.width = `${100 * strength}%`;
  bar.style.background = colour(kind, 1);
  made.append(title, bar, element("span", value, { className: "value" }));
  return made;
}

function showChosen(influences, most) {
  one("hint").hidden = chosen >= 0;
  one("chosen").hidden = chosen < 0;
  if (chosen < 0) return;
  const bits = shown.surprisal[chosen];
  one("chosen-title").replaceChildren(element("bdi", label(shown.pieces[chosen])), ` (token ${chosen + 1})`);
  one("chosen-about").textContent = bits === null
    ? "The first token is not predicted: nothing stands before it."
    : `Surprisal ${inBits(bits)}: the model gave it ${inPercent(2 ** -bits)}.`;
  one("methods").hidden = one("strongest-title").hidden = one("rest").hidden = !influences;
  one("where").hidden = !influences || method !== "attention";
  showStrongest(influences || new Float64Array(0), most);
  one("alternatives").previousElementSibling.hidden = !influences;
  one("alternatives").replaceChildren(...(influences ? expected(chosen) : []));
}

function showStrongest(influences, most) {
  const order = Array.from(influences.keys()).filter((index) => influences[index]);
  order.sort((left, right) => (Math.abs(influences[right]) || 0) - (Math.abs(influences[left]) || 0));
  const listed = order.slice(0, LISTED);
  one("strongest").replaceChildren(
    ...listed.map((index) => {
      const value = influences[index];
      const strength = most ? Math.abs(value) / most : 0;
      const isNext = method === "leave-one-out" && index === chosen - 1; // see page.html
      return row(shown.pieces[index], `${index + 1}${isNext ? "*" : ""}`, strength || 0, value < 0 ? "hurts" : "helps", asValue(value));
    }),
  );
  if (!influences.length) return;
  const total = listed.reduce((sum, index) => sum + influences[index], 0);
  const others = influences.length - listed.length;
  const name = `${others} other token${others === 1 ? "" : "s"}`;
  const shares = `${name} together: ${inPercent(Math.max(0, 1 - total))}`;
  const largest = `${name}: at most ${inBits(Math.abs(influences[order[LISTED]] || 0))} each`;
  const rest = others ? (BITS_METHODS.has(method) ? largest : shares) : "";
  const star = method === "leave-one-out" ? "* just before: see below" : "";
  one("rest").textContent = [rest, star].filter(Boolean).join(". ");
}

function expected(token) {
  return shown.alternatives[token].map((piece, place) => {
    const probability = shown.probabilities[token][place];
    const isRight = piece === shown.pieces[token];
    return row(piece, isRight ? "✓" : "", probability, "surprise", inPercent(probability));
  });
}

function showAgreement() {
  one("agreement").hidden = !Object.keys(shown.agreements).length || chosen === 0;
  const asRho = (rho) => (rho === null || rho === undefined ? "–" : rho.toFixed(2).replace("-", "−"));
  const rows = Object.entries(shown.agreements).map(([name, rhos]) => {
    const known = rhos.filter((rho) => rho !== null);
    const mean = known.length ? known.reduce((sum, rho) => sum + rho, 0) / known.length : null;
    const title = element("th", name === "attention" ? "attention (mean)" : name, { scope: "row" });
    const made = document.createElement("tr");
    made.append(title, element("td", asRho(chosen < 0 ? null : rhos[chosen])), element("td", asRho(mean)));
    return made;
  });
  one("agreement-rows").replaceChildren(...rows);
}

function showTip(index) {
  const bits = shown.surprisal[index];
  const title = element("p", element("bdi", label(shown.pieces[index])));
  title.append(bits === null ? ": not predicted" : `: ${inBits(bits)}, ${inPercent(2 ** -bits)}`);
  const parts = [title];
  if (chosen > index) {
    const about = element("p", `Influence on `);
    about.append(element("bdi", label(shown.pieces[chosen])), `: ${asValue(influencesOn(chosen)[index])}`);
    parts.push(about);
  }
  const list = document.createElement("ol");
  for (const [place, piece] of bits === null ? [] : shown.alternatives[index].entries()) {
    const item = element("li", element("bdi", label(piece)));
    item.append(element("span", inPercent(shown.probabilities[index][place])));
    list.append(item);
  }
  if (list.children.length) parts.push(element("p", "Expected:"), list);
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const box = tokenElements()[index].getClientRects()[0];
  const { width, height } = tip.getBoundingClientRect();
  const above = box.top > height + 8;
  tip.style.left = `${scrollX + Math.max(4, Math.min(box.left, document.documentElement.clientWidth - width - 4))}px`;
  tip.style.top = `${scrollY + (above ? box.top - height - 6 : box.bottom + 6)}px`;
}

function hideTip() {
  tip.hidden = true;
}

function choose(index) {
  chosen = index;
  hideTip();
  paint();
  if (index >= 0) tokenElements()[index].scrollIntoView({ block: "nearest" }); // the panel may have covered it
}

function indexOf(target) {
  const token = target.closest(".token");
  return token ? Number(token.dataset.index) : -1;
}

function moveFocus(index) {
  const tokens = tokenElements();
  if (index < 0 || index >= tokens.length) return;
  for (const token of text.querySelectorAll('[tabindex="0"]')) token.tabIndex = -1;
  tokens[index].tabIndex = 0;
  tokens[index].focus();
}

function onKey(event) {
  const index = indexOf(event.target);
  const forward = getComputedStyle(text).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const back = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
  const last = tokenElements().length - 1;
  const moves = { [forward]: index + 1, [back]: index - 1, Home: 0, End: last };
  if (event.key in moves) moveFocus(moves[event.key]);
  else if (event.key === "Enter" || event.key === " ") choose(index);
  else return;
  event.preventDefault();
}

function fillChoices() {
  const options = (names) => names.map((name, value) => element("option", name, { value }));
  const numbers = (count) => Array.from({ length: count }, (_, index) => String(index + 1));
  layerChoice.replaceChildren(...options(["mean", ...numbers(shown.layers)]));
  headChoice.replaceChildren(...options(["mean", ...numbers(shown.heads)]));
  headChoice.disabled = true;
  const order = ["leave-one-out", "gradient x input", "attention", "rollout"].filter((name) => shown.methods.includes(name));
  if (!order.includes(method)) method = order[0];
  const labels = order.map((name) => {
    const made = document.createElement("label");
    made.append(element("input", "", { type: "radio", name: "method", value: name, checked: name === method }), ` ${name}`);
    return made;
  });
  one("methods").replaceChildren(element("legend", "Influence by"), ...labels);
}

function say(message, isError = false) {
  one("status").textContent = message;
  one("status").classList.toggle("error", isError);
}

async function show(content) {
  shown = await explanation(content);
  chosen = -1;
  const { model, parameters, pieces, layers, heads, surprisal, notes } = shown;
  const mean = surprisal.reduce((sum, bits) => sum + (bits ?? 0), 0) / Math.max(1, pieces.length - 1);
  const size = `${parameters.toLocaleString("en")} parameters, ${layers} layers of ${heads} heads`;
  one("about").textContent = `${model} (${size}). ${pieces.length.toLocaleString("en")} tokens, ${inBits(mean)} each on average.`;
  say(notes.join(" "));
  fillChoices();
  showText();
  one("result").hidden = false;
  paint();
}

async function ask(event) {
  event.preventDefault();
  const button = one("form").querySelector("button");
  button.disabled = true;
  say("Explaining ...");
  try {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ text: one("input").value });
    const response = await fetch("api/explain", { method: "POST", headers, body }).catch(() => {
      throw new Error("the server is not reached. Is it still running?");
    });
    const content = await response.json();
    if (!response.ok) throw new Error(content.error.message);
    await show(content);
  } catch (error) {
    one("result").hidden = true; // of the text before
    one("about").textContent = "";
    say(`No answer: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
}

text.addEventListener("click", (event) => {
  const index = indexOf(event.target);
  if (index < 0) return;
  moveFocus(index);
  choose(index === chosen ? -1 : index);
});
text.addEventListener("keydown", onKey);
for (const kind of ["mouseover", "focusin"]) text.addEventListener(kind, (event) => indexOf(event.target) < 0 || showTip(indexOf(event.target)));
for (const kind of ["mouseout", "focusout"]) text.addEventListener(kind, hideTip);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shown) choose(-1);
});
one("methods").addEventListener("change", (event) => {
  method = event.target.value;
  paint();
});
layerChoice.addEventListener("change", () => {
  headChoice.disabled = layerChoice.value === "0";
  if (headChoice.disabled) headChoice.value = "0";
  paint();
});
headChoice.addEventListener("change", paint);

const data = one("data");
if (data) {
  show(JSON.parse(data.textContent)).catch((error) => say(`This browser cannot open the page: ${error.message}`, true));
} else {
  one("form").hidden = false;
  one("form").addEventListener("submit", ask);
  one("input").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) one("form").requestSubmit();
  });
}
