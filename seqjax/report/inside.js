// The text through one unit. What the page holds is read from its elements; nothing is asked of a network.

const FULL_SURPRISE = 8; // bits at which the bar under a symbol is full
const MOST_UNUSUAL = 10;
const BINS = 24;
const PAUSE = 150; // milliseconds without a new choice before the address follows: browsers limit how often it may
const get = (id) => document.getElementById(id);

const data = JSON.parse(get("data").textContent);
const levels = Number(get("viewer").dataset.levels);
const time = data.symbols.length;
const cells = [];
const decoded = new Map();
let chosen = { layer: 0, part: 0, unit: 0, at: -1 };
let addressing = 0;
let matrix = null; // of the chosen layer and part: {codes, mean, deviation}

// Values

/** Codes of one part of one layer, [units, time], with each unit's mean and standard deviation over the text. */
function activity(layer, part) {
  const id = `values-${layer}-${part}`;
  if (!decoded.has(id)) decoded.set(id, inflated(get(id).textContent).then(withMoments));
  return decoded.get(id);
}

async function inflated(base64) {
  const packed = atob(base64);
  const bytes = new Uint8Array(packed.length);
  for (let n = 0; n < packed.length; n++) bytes[n] = packed.charCodeAt(n);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function withMoments(codes) {
  const units = codes.length / time;
  const mean = new Float64Array(units);
  const deviation = new Float64Array(units);
  for (let unit = 0; unit < units; unit++) {
    let sum = 0;
    let squares = 0;
    for (let n = unit * time; n < (unit + 1) * time; n++) {
      sum += codes[n];
      squares += codes[n] * codes[n];
    }
    mean[unit] = sum / time;
    deviation[unit] = Math.sqrt(Math.max(0, squares / time - mean[unit] ** 2));
  }
  return { codes, mean, deviation };
}

const part = () => data.layers[chosen.layer][chosen.part];
const code = (unit, at) => matrix.codes[unit * time + at];

function value(unit, code) {
  const low = part().low[unit];
  return low + (code / (levels - 1)) * (part().high[unit] - low);
}

/** The value with as many decimals as its resolution allows. */
function shown(unit, code) {
  return digits(value(unit, code), part().high[unit] - part().low[unit]);
}

function digits(number, range) {
  const decimals = Math.ceil(-Math.log10(Math.max(range, 1e-5) / levels));
  return number.toFixed(Math.min(5, Math.max(0, decimals))).replace(/^-(0\.?0*)$/, "$1");
}

/** The values that are full blue and full red. */
function ends() {
  const { scale, low, high } = part();
  if (get("own").checked) return [low[chosen.unit], high[chosen.unit]];
  if (scale === "fraction") return [0, 1];
  const largest = scale === "signed" ? 1 : Math.max(Math.abs(low[chosen.unit]), Math.abs(high[chosen.unit]));
  return [-largest, largest];
}

/** From -1, full blue, to 1, full red. */
function position(value) {
  const [low, high] = ends();
  return high > low ? Math.min(1, Math.max(-1, (2 * (value - low)) / (high - low) - 1)) : 0;
}

// Drawing

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function glyph(symbol, tag, className = "") {
  return element(tag, className + (data.small[symbol] ? " small" : ""), data.glyphs[symbol]);
}

function drawText() {
  const text = document.createDocumentFragment();
  let line = text.appendChild(element("div", "line"));
  for (let at = 0; at < time; at++) {
    cells.push(line.appendChild(cell(at)));
    if (data.symbols[at] === data.newline && at < time - 1) line = text.appendChild(element("div", "line"));
  }
  get("text").append(text);
}

function cell(at) {
  const made = element("span", "cell");
  made.append(glyph(data.symbols[at], "b", data.symbols[at] === data.newline ? "end" : ""));
  const surprise = made.appendChild(element("u"));
  if (at + 1 < time) surprise.style.width = `${Math.min(100, (100 * data.bits[at + 1]) / FULL_SURPRISE)}%`;
  data.guesses[at].forEach((symbol, n) => {
    const shade = Math.round((10 * data.chances[at][n]) / data.per);
    const guess = made.appendChild(glyph(symbol, "i", `p${shade}${symbol === data.symbols[at + 1] ? " true" : ""}`));
    if (symbol === data.blank) guess.textContent = "␣";
  });
  return made;
}

/** Full blue, neutral and full red of the present colour scheme. */
function palette() {
  const style = getComputedStyle(document.body);
  const [blue, neutral, red] = ["--blue", "--neutral", "--red"].map((name) =>
    style.getPropertyValue(name).trim().split(" ").map(Number),
  );
  return (position) => {
    const end = position < 0 ? blue : red;
    return `rgb(${neutral.map((c, n) => Math.round(c + Math.abs(position) * (end[n] - c))).join(",")})`;
  };
}

function paint() {
  const colour = palette();
  const colours = Array.from({ length: levels }, (_, code) => colour(position(value(chosen.unit, code))));
  for (let at = 0; at < time; at++) cells[at].firstChild.style.backgroundColor = colours[code(chosen.unit, at)];
}

function drawLegend() {
  const [low, high] = ends();
  Object.entries({ low, middle: (low + high) / 2, high }).forEach(([id, end]) => {
    get(id).textContent = String(Number(end.toPrecision(3)));
  });
  const bins = Math.min(BINS, levels);
  const counts = new Array(bins).fill(0);
  for (let at = 0; at < time; at++) {
    const share = (position(value(chosen.unit, code(chosen.unit, at))) + 1) / 2;
    counts[Math.min(bins - 1, Math.floor(share * bins))]++;
  }
  const most = Math.max(...counts);
  get("histogram").replaceChildren(
    ...counts.map((count, n) => {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = (16 * count) / most;
      Object.entries({ x: (48 * n) / bins, y: 16 - height, width: 43 / bins, height }).forEach(([name, v]) => bar.setAttribute(name, v));
      return bar;
    }),
  );
}

function drawPanel() {
  const { at, unit } = chosen;
  if (at < 0) {
    get("panel").replaceChildren(element("p", "note", "Click a symbol to see which units are most unusual there."));
    return;
  }
  const before = data.symbols.slice(0, at);
  const line = before.filter((symbol) => symbol === data.newline).length + 1;
  const column = at - before.lastIndexOf(data.newline);
  get("panel").replaceChildren(
    element("h3", "", data.names[data.symbols[at]]),
    element("p", "note", `symbol ${at + 1} of ${time}, line ${line}, column ${column}`),
    element("p", "", `${part().name} ${unit} is ${shown(unit, code(unit, at))}`),
    element("p", "", next(at)),
    predictions(at),
    element("h4", "", `Most unusual units of layer ${chosen.layer + 1} ${part().name}`),
    unusualUnits(at),
  );
}

function next(at) {
  if (at + 1 === time) return "The text ends here.";
  return `next: ${data.names[data.symbols[at + 1]]}, a surprise of ${data.bits[at + 1].toFixed(2)} bits`;
}

function predictions(at) {
  const table = element("table");
  data.guesses[at].forEach((symbol, n) => {
    const row = table.insertRow();
    if (symbol === data.symbols[at + 1]) row.className = "true";
    row.insertCell().textContent = data.names[symbol];
    const share = (100 * data.chances[at][n]) / data.per;
    row.insertCell().append(element("u"));
    row.lastChild.firstChild.style.width = `${share}%`;
    row.insertCell().textContent = share < 0.05 ? "< 0.1 %" : `${share.toFixed(1)} %`;
  });
  return table;
}

function unusualUnits(at) {
  const list = element("ol", "unusual");
  for (const { unit, z } of unusual(at).slice(0, MOST_UNUSUAL)) {
    const link = element("a", "", `${part().name} ${unit}`);
    link.href = address({ ...chosen, unit });
    const item = list.appendChild(element("li"));
    item.append(link, ` ${shown(unit, code(unit, at))} (z ${z > 0 ? "+" : ""}${z.toFixed(1)})`);
  }
  return list;
}

/** All units of the chosen layer and part, by how far each is from its mean over the text at this symbol. */
function unusual(at) {
  const scores = Array.from(matrix.mean, (mean, unit) => {
    const deviation = matrix.deviation[unit];
    return { unit, z: deviation > 0 ? (code(unit, at) - mean) / deviation : 0 };
  });
  return scores.sort((a, b) => Math.abs(b.z) - Math.abs(a.z));
}

// Choosing

function fill(select, options) {
  if (select.length !== options.length || options.some((name, n) => select.options[n].text !== name)) {
    select.replaceChildren(...options.map((name, n) => new Option(name, n)));
  }
}

function drawLists() {
  fill(get("layer"), data.layers.map((_, n) => String(n + 1)));
  fill(get("part"), data.layers[chosen.layer].map((part) => part.name));
  fill(get("unit"), part().low.map((_, n) => String(n)));
  for (const name of ["layer", "part", "unit"]) get(name).value = chosen[name];
  for (const link of document.querySelectorAll(".found a")) {
    link.classList.toggle("here", link.hash === address({ ...chosen, at: -1 }));
  }
}

const clamp = (number, count) => Math.min(count - 1, Math.max(0, Number.isInteger(number) ? number : 0));

/** Show another choice, the nearest that there is. */
async function show(changes) {
  const wanted = { ...chosen, ...changes };
  const layer = clamp(wanted.layer, data.layers.length);
  const part = clamp(wanted.part, data.layers[layer].length);
  const unit = clamp(wanted.unit, data.layers[layer][part].low.length);
  const at = Math.min(time - 1, wanted.at);
  const here = { layer, part, unit, at };
  cells[chosen.at]?.classList.remove("chosen");
  cells[at]?.classList.add("chosen");
  chosen = here;
  const read = await activity(layer, part);
  if (chosen !== here) return;
  matrix = read;
  drawLists();
  paint();
  drawLegend();
  drawPanel();
  clearTimeout(addressing);
  addressing = setTimeout(() => history.replaceState(null, "", address(chosen)), PAUSE);
}

function address({ layer, part, unit, at }) {
  const name = encodeURIComponent(data.layers[layer][part].name).replace(/[!'()*]/g, escaped);
  return `#layer=${layer + 1}&part=${name}&unit=${unit}${at < 0 ? "" : `&at=${at}`}`;
}

const escaped = (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
const named = (layer, name) => Math.max(0, data.layers[layer].findIndex((part) => part.name === name));

/** The choice that the page's address names, or the one to begin with. */
function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  if (!asked.has("unit")) return { ...data.start, part: named(data.start.layer, data.start.part) };
  const layer = clamp(Number(asked.get("layer")) - 1, data.layers.length);
  const choice = { layer, part: named(layer, asked.get("part")), unit: Number(asked.get("unit")) };
  return asked.has("at") ? { ...choice, at: clamp(Number(asked.get("at")), time) } : choice;
}

/** Another layer, in the part of the same name where it has one. */
const inLayer = (layer) => {
  const to = clamp(layer, data.layers.length);
  return show({ layer: to, part: named(to, part().name) });
};

async function look(at, only) {
  await show({ at });
  if (!only && chosen.at === at) await show({ unit: unusual(at)[0].unit });
}

function nextFound() {
  const found = [...new Set([...document.querySelectorAll(".found .cell-link")].map((link) => link.hash))];
  const here = found.indexOf(address({ ...chosen, at: -1 }));
  if (found.length) location.hash = found[(here + 1) % found.length];
}

const inText = (at) => Math.min(time - 1, Math.max(0, at));
const PRESSED = {
  ArrowLeft: (event) => (event.shiftKey ? look(inText(chosen.at - 1), true) : show({ unit: chosen.unit - 1 })),
  ArrowRight: (event) => (event.shiftKey ? look(inText(chosen.at + 1), true) : show({ unit: chosen.unit + 1 })),
  ArrowUp: () => inLayer(chosen.layer + 1),
  ArrowDown: () => inLayer(chosen.layer - 1),
  n: nextFound,
  p: () => get("predictions").click(),
  o: () => get("own").click(),
};

function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
  const number = Number(event.key);
  const act = number >= 1 && number <= data.layers[chosen.layer].length ? () => show({ part: number - 1 }) : PRESSED[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
}

function listen() {
  get("layer").addEventListener("change", (event) => inLayer(Number(event.target.value)));
  get("part").addEventListener("change", (event) => show({ part: Number(event.target.value) }));
  get("unit").addEventListener("change", (event) => show({ unit: Number(event.target.value) }));
  get("own").addEventListener("change", () => show({}));
  get("predictions").addEventListener("change", (event) => get("text").classList.toggle("bare", !event.target.checked));
  get("text").addEventListener("click", (event) => {
    const at = cells.indexOf(event.target.closest(".cell"));
    if (at >= 0) look(at, event.shiftKey);
  });
  get("text").addEventListener("mouseover", (event) => {
    const at = cells.indexOf(event.target.closest(".cell"));
    if (at >= 0 && matrix) {
      cells[at].title = `${data.names[data.symbols[at]]}: ${shown(chosen.unit, code(chosen.unit, at))}; ${next(at)}`;
    }
  });
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", () => location.hash.includes("unit=") && show(fromAddress())); // others: sections
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => matrix && paint());
  releaseListsChosenByPointer();
}

/** After a choice with the mouse, arrow keys belong to the page again; who came by keyboard stays in the list. */
function releaseListsChosenByPointer() {
  for (const select of document.querySelectorAll("#viewer select")) {
    let byPointer = false;
    select.addEventListener("pointerdown", () => (byPointer = true));
    select.addEventListener("keydown", () => (byPointer = false));
    select.addEventListener("change", () => byPointer && select.blur());
  }
}

get("viewer").hidden = false;
drawText();
listen();
await show(fromAddress());
if (chosen.at >= 0) cells[chosen.at].scrollIntoView({ block: "center" });
document.body.dataset.ready = "true";
