"use strict";
// Titles and texts come from anyone: they become text nodes here, never HTML.

const form = document.getElementById("form");
const input = document.getElementById("query");
const statusLine = document.getElementById("status");
const answer = document.getElementById("answer");
const sentences = document.getElementById("sentences");
const origin = document.getElementById("origin"); // where the sentences are from
const results = document.getElementById("results");
const start = document.getElementById("start");
const keyForm = document.getElementById("key-form");
const keyInput = document.getElementById("key");
const LONGEST_ADDRESS = 500; // characters of a question that is kept in the page's address
const AS_THEY_ARE = "Sentences of the articles below, as they are.";
const WRITTEN = "Written by a model. Each sentence was checked against its source.";
const MOST_MISSING = 5; // words of the question that an article does not have, which are shown
let writes = false; // whether the server has a model that writes summaries
let asked = new AbortController(); // of the last question: only its answer is shown, and only it is still written

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text) made.textContent = text;
  return made;
}

function say(text, isError = false) {
  statusLine.textContent = text;
  statusLine.classList.toggle("error", isError);
}

// The text with the parts between each start and end marked. Python counts characters, JavaScript UTF-16 units.
function marked(text, marks) {
  const characters = Array.from(text);
  const made = element("p");
  let last = 0;
  for (const [from, to] of marks) {
    made.append(characters.slice(last, from).join(""), element("mark", characters.slice(from, to).join("")));
    last = to;
  }
  made.append(characters.slice(last).join(""));
  return made;
}

function addSentence({ text, source }) {
  const link = element("a", `[${source}]`, { href: `#result-${source}`, title: "Go to the source" });
  link.addEventListener("click", (event) => {
    event.preventDefault();
    goTo(source - 1);
  });
  sentences.append(text, link, " ");
}

function showAnswer(found) {
  sentences.replaceChildren();
  found.forEach(addSentence);
  origin.textContent = AS_THEY_ARE;
  answer.hidden = found.length === 0;
}

// Replaces the answer's sentences with those that the model writes, as they come.
async function showSummary(query, signal) {
  origin.textContent = `${AS_THEY_ARE} A model is writing a summary ...`;
  answer.hidden = false;
  let isFirst = true;
  const response = await post("api/summary", query, signal);
  for await (const line of lines(response)) {
    if (line.note !== undefined) {
      origin.textContent = `${isFirst ? AS_THEY_ARE : WRITTEN} ${line.note}`;
      return;
    }
    if (isFirst) sentences.replaceChildren();
    isFirst = false;
    origin.textContent = `${WRITTEN} It is still writing ...`;
    addSentence(line);
  }
  throw new Error("it ended early");
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n");
    held = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

function post(path, query, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { signal, method: "POST", headers, body: JSON.stringify({ query }) });
}

// Sends the key that this tab was given, and asks for one if the server needs another.
async function request(path, settings = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...settings.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...settings, headers });
  if (response.status === 401) {
    keyForm.hidden = false;
    keyInput.focus();
    throw new Error(key ? "this is not the server's key" : "the server needs its key");
  }
  if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message || response.statusText);
  return response;
}

function showResults(found) {
  results.replaceChildren();
  found.forEach(({ title, url, section, snippet, marks, missing }, index) => {
    const item = element("li", "", { id: `result-${index + 1}` });
    const heading = element("h2");
    heading.append(element("span", `${index + 1}. `, { className: "number" }));
    const name = title || "Without a title";
    const link = url
      ? element("a", name, { href: url, target: "_blank", rel: "noopener noreferrer" })
      : element("span", name, { tabIndex: 0 });
    link.classList.add("title");
    heading.append(link);
    item.append(heading);
    if (section) item.append(element("p", section, { className: "small" }));
    item.append(marked(snippet, marks));
    if (missing.length) item.append(element("p", `Without: ${missing.slice(0, MOST_MISSING).join(", ")}`, { className: "small" }));
    results.append(item);
  });
}

function titles() {
  return Array.from(results.querySelectorAll(".title"));
}

function goTo(index) {
  const link = titles()[index];
  if (!link) return;
  results.querySelectorAll("li").forEach((item) => item.classList.toggle("shown", item.contains(link)));
  link.focus();
  link.closest("li").scrollIntoView({ block: "nearest" });
}

function describe({ results: found, seconds, note }) {
  if (!found.length) return note || "Nothing was found.";
  const time = seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
  return `${found.length === 1 ? "1 article" : `${found.length} articles`} in ${time}. ${note}`;
}

async function ask(query) {
  const { signal } = next();
  say("Searching ...");
  start.hidden = true;
  try {
    const content = await (await post("api/search", query, signal)).json();
    showAnswer(content.sentences);
    showResults(content.results);
    say(describe(content));
    if (!writes || !content.sentences.length) return;
  } catch (error) {
    if (signal.aborted) return;
    showAnswer([]);
    showResults([]);
    const isLost = error instanceof TypeError;
    say(isLost ? "The server does not answer. Is it still running?" : `No answer: ${error.message}`, true);
    return;
  }
  showSummary(query, signal).catch((error) => {
    if (!signal.aborted) origin.textContent += ` No summary: ${error.message}.`;
  });
}

function next() {
  asked.abort();
  return (asked = new AbortController());
}

function clear() {
  next();
  showAnswer([]);
  showResults([]);
  say("");
  start.hidden = false;
}

function load() {
  const query = new URLSearchParams(location.search).get("q") || "";
  input.value = query;
  if (query.trim()) ask(query);
  else clear();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = input.value;
  const address = query.trim() && query.length <= LONGEST_ADDRESS ? `?q=${encodeURIComponent(query)}` : location.pathname;
  history.pushState(null, "", address);
  if (query.trim()) ask(query);
  else clear();
});

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", keyInput.value);
  keyInput.value = "";
  keyForm.hidden = true;
  input.focus();
  begin();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.activeElement === keyInput) return;
  const links = titles();
  const here = links.indexOf(document.activeElement);
  if (event.key === "/" && document.activeElement !== input) input.focus();
  else if (event.key === "Escape" && document.activeElement !== input) input.focus();
  else if (event.key === "ArrowDown" && links.length) goTo(Math.min(here + 1, links.length - 1));
  else if (event.key === "ArrowUp" && here > 0) goTo(here - 1);
  else if (event.key === "ArrowUp" && here === 0) input.focus();
  else return;
  event.preventDefault();
});

window.addEventListener("popstate", load);
async function begin() {
  try {
    const about = await (await request("api/about")).json();
    writes = about.writes;
    const [articles, passages] = [about.articles, about.passages].map((n) => n.toLocaleString("en"));
    document.getElementById("about").textContent =
      `${articles} articles in ${passages} passages are searched, on this machine alone.`;
  } catch (error) {
    if (!keyForm.hidden) return say(`No answer: ${error.message}.`, true);
    // Else `load` says that the server does not answer.
  }
  load();
}
begin();
