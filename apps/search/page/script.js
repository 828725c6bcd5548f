"use strict";
// Titles and texts come from anyone: they become text nodes here, never HTML.

const form = document.getElementById("form");
const input = document.getElementById("query");
const statusLine = document.getElementById("status");
const answer = document.getElementById("answer");
const sentences = document.getElementById("sentences");
const results = document.getElementById("results");
const start = document.getElementById("start");
const LONGEST_ADDRESS = 500; // characters of a question that is kept in the page's address
let asked = 0; // questions so far: only the last one's answer is shown

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

function showAnswer(found) {
  sentences.replaceChildren();
  for (const { text, source } of found) {
    const link = element("a", `[${source}]`, { href: `#result-${source}`, title: "Go to the source" });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(source - 1);
    });
    sentences.append(text, link, " ");
  }
  answer.hidden = found.length === 0;
}

function showResults(found) {
  results.replaceChildren();
  found.forEach(({ title, url, section, snippet, marks }, index) => {
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
  return `${found.length} articles in ${time}. ${note}`;
}

async function ask(query) {
  const number = ++asked;
  say("Searching ...");
  start.hidden = true;
  try {
    const response = await fetch("api/search", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query }),
    });
    const content = await response.json();
    if (number !== asked) return;
    if (!response.ok) throw new Error(content.error.message);
    showAnswer(content.sentences);
    showResults(content.results);
    say(describe(content));
  } catch (error) {
    if (number !== asked) return;
    showAnswer([]);
    showResults([]);
    const isLost = error instanceof TypeError;
    say(isLost ? "The server does not answer. Is it still running?" : `No answer: ${error.message}`, true);
  }
}

function clear() {
  asked += 1;
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

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
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
fetch("api/about")
  .then((response) => response.json())
  .then(({ articles, passages }) => {
    const text = `${articles.toLocaleString("en")} articles in ${passages.toLocaleString("en")} passages are searched, on this machine alone.`;
    document.getElementById("about").textContent = text;
  })
  .catch(() => {});
load();
