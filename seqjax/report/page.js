// Tables that can be sorted, cells that can be hidden, curves that answer. All of it is in the page; nothing is asked of
// a network.

const LEFT = 56; // pixels around the plot
const RIGHT = 24;
const TOP = 34;
const BOTTOM = 44;
const REACH = 48; // pixels from a curve at which it answers
const MOST_SEEDS = 40; // with more of them in one plot, only those of the chosen model are drawn
const DECADES_WITHOUT_FRACTIONS = 2; // a logarithmic axis longer than that has ticks at powers of ten alone
const MOST_TICKS = 8;
const NUMBER = /(\d+(?:\.\d+)?(?:e[-+]?\d+)?)/; // in a name: 0.009 comes before 0.01, and 64 before 128

const data = JSON.parse(document.getElementById("data").textContent);
const charts = [];
let hidden = new Set(); // names whose rows and curves are not shown

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function drawn(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  if (text !== "") made.textContent = text;
  return made;
}

// Tables

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const ofNames = table.tBodies[0].rows[0]?.cells[column].tagName === "TH";
    if (!ofNames && !head.classList.contains("number")) return;
    const button = element("button", "sort", head.textContent);
    button.type = "button";
    button.title = `Sort by ${head.textContent}`;
    button.addEventListener("click", () => sort(table, column));
    head.replaceChildren(button);
  });
  if (heads[0].textContent === "#") heads[0].setAttribute("aria-sort", "ascending");
}

/** By a column, upwards or, where it already is, downwards; rows without a value are last in either case. */
function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const downwards = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", downwards ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
  const missing = rows.filter(({ key }) => key === null);
  const sorted = rows.filter(({ key }) => key !== null).sort((a, b) => (downwards ? -1 : 1) * compared(a.key, b.key));
  table.tBodies[0].append(...[...sorted, ...missing].map(({ row }) => row));
}

function sortKey(cell) {
  if (cell.tagName === "TH") return cell.textContent;
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}

function compared(a, b) {
  if (typeof a === "number") return a - b;
  const [these, those] = [a, b].map((name) => name.split(NUMBER));
  const n = these.findIndex((part, place) => part !== those[place]);
  if (n < 0 || those[n] === undefined) return these.length - those.length;
  return n % 2 ? Number(these[n]) - Number(those[n]) : these[n].localeCompare(those[n], "en");
}

// Which cells are shown

function offerFilter(filter) {
  const boxes = [...filter.querySelectorAll("input")];
  filter.hidden = false;
  filter.addEventListener("change", () => show(boxes));
  filter.querySelectorAll("button").forEach((button) =>
    button.addEventListener("click", () => {
      boxes.forEach((box) => (box.checked = button.value === "all"));
      show(boxes);
    }),
  );
  show(boxes); // a browser that comes back to the page may remember what was ticked
}

function show(boxes) {
  hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
  document.querySelectorAll("[data-filter]").forEach((part) => (part.hidden = hidden.has(part.dataset.filter)));
  charts.forEach((chart) => chart.draw());
}

// Numbers

function shownScore(value) {
  if (Math.abs(value) >= 1e6) return value.toExponential(3);
  return value === 0 || Math.abs(value) >= 0.01 ? value.toFixed(4) : String(Number(value.toPrecision(3)));
}

const shownStep = (step) => step.toLocaleString("en");

function shownSeconds(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds) % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Axes

/** Where a linear axis ends: one exploding curve does not press all others flat. */
function highest(sorted) {
  const low = sorted[0];
  const high = sorted[sorted.length - 1];
  const most = low + 3 * (sorted[Math.floor(0.9 * (sorted.length - 1))] - low);
  return high > most && most > low ? most : high;
}

/** A linear axis over the values, and over those of `lines` that are near: {place: value -> 0..1, ticks}. */
function linearAxis(sorted, lines, fromZero = false) {
  let low = fromZero ? 0 : sorted[0];
  let high = fromZero ? sorted[sorted.length - 1] : highest(sorted);
  const span = high - low || Math.abs(high) || 1;
  const near = lines.filter((line) => line >= low - 0.25 * span && line <= high + 0.25 * span);
  low = Math.min(low, ...near);
  high = Math.max(high, ...near);
  const margin = fromZero ? 0 : 0.05 * (high - low || span);
  const start = low - margin;
  const end = high + (fromZero && high === low ? 1 : margin);
  return { place: (value) => (value - start) / (end - start), ticks: evenTicks(start, end) };
}

function evenTicks(start, end) {
  const rough = (end - start) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough);
  const decimals = [0, 1, 2, 3, 4, 5, 6].find((digits) => Math.abs(Number(step.toFixed(digits)) - step) < 1e-6 * step) ?? 7;
  const first = Math.ceil(start / step) + 0; // -0 would be a label
  const length = Math.floor(end / step) - first + 1;
  return Array.from({ length }, (_, n) => (first + n) * step).map((value) => [value, tickLabel(value, decimals)]);
}

function tickLabel(value, decimals) {
  if (Math.abs(value) >= 1e15) return value.toExponential(1);
  const compact = Math.abs(value) >= 10_000;
  return value.toLocaleString("en", compact ? { notation: "compact", maximumSignificantDigits: 4 } : { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** A logarithmic axis; what is not above 0 is drawn at its lower end. */
function logarithmicAxis(sorted, lines) {
  const positive = [sorted.find((value) => value > 0), sorted[sorted.length - 1], ...lines].filter((value) => value > 0);
  const start = Math.log10(Math.min(...positive) / 1.5);
  const end = Math.log10(Math.max(...positive) * 1.5);
  const factors = end - start > DECADES_WITHOUT_FRACTIONS ? [1] : [1, 2, 5];
  const every = Math.ceil((end - start) / MOST_TICKS);
  const ticks = [];
  for (let power = Math.ceil(start) - 1; power <= end; power++) {
    if (power % every) continue;
    ticks.push(...factors.map((factor) => factor * 10 ** power).map((value) => [value, powerLabel(value)]));
  }
  const place = (value) => (value > 0 ? Math.max(0, (Math.log10(value) - start) / (end - start)) : 0);
  return { place, ticks: ticks.filter(([value]) => Math.log10(value) >= start && Math.log10(value) <= end) };
}

function powerLabel(value) {
  const plain = value < 1e5 && value > 9e-5;
  return plain ? String(Number(value.toPrecision(1))) : value.toExponential(0).replace("+", "");
}

// Curves

/** What a chart can show of a model: its seeds and, of several, their mean. `main` are thick. */
function curvesOf(model, number, chart) {
  const averaged = Boolean(model.mean?.[chart.curve][1].length);
  const found = model.runs.map((run) => {
    const who = `seed ${run.seed}${run.state === "done" ? "" : `, ${run.state}`}`;
    return curve(model, number, run, chart, !averaged, who);
  });
  if (averaged) {
    const seeds = `${model.mean.seeds} ${model.mean.seeds === 1 ? "seed" : "seeds"}`;
    found.push(curve(model, number, model.mean, chart, true, `mean over ${seeds}`));
  }
  return found.filter(({ values }) => values.length);
}

function curve(model, number, source, chart, main, who) {
  const [n, values] = source[chart.curve];
  const steps = data.steps[n];
  return { model, number, main, who, steps, values, across: chart.curve === "timed" ? source.seconds[1] : steps };
}

class Chart {
  /** In the place of a figure, which stays in the page, hidden. */
  constructor(board, chart, figure) {
    Object.assign(this, { board, chart, chosen: null });
    this.all = board.models.flatMap((model, number) => curvesOf(model, number, chart));
    this.figure = element("figure", "chart");
    this.svg = drawn("svg", { tabindex: 0, role: "group", "aria-label": `${chart.title}: arrow keys read the curves` });
    this.tip = element("div", "tip");
    this.tip.setAttribute("aria-live", "polite");
    this.tip.hidden = true;
    this.figure.append(element("h4", "", chart.title), this.svg, this.tip, element("figcaption", "", chart.caption));
    figure.before(this.figure);
    figure.hidden = true;
    ["pointermove", "pointerdown"].forEach((kind) => this.svg.addEventListener(kind, (event) => this.point(event)));
    ["pointerleave", "blur"].forEach((kind) => this.svg.addEventListener(kind, () => this.choose(null)));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.svg.clientWidth !== this.width && this.draw()).observe(this.figure);
  }

  draw() {
    this.width = this.svg.clientWidth;
    this.height = Math.round(Math.min(440, Math.max(260, 0.58 * this.width)));
    this.svg.setAttribute("height", this.height);
    this.svg.replaceChildren();
    this.choose(null);
    light(this.board, null);
    const room = this.width > LEFT + RIGHT;
    this.curves = this.all.filter(({ model }) => room && !hidden.has(model.filter));
    if (!this.curves.length) return;
    this.many = this.curves.filter(({ main }) => !main).length > MOST_SEEDS;
    this.svg.classList.toggle("many", this.many);
    this.drawAxes();
    this.drawCurves();
    this.chart.lines.forEach(([value, label]) => this.drawLine(value, label));
  }

  drawAxes() {
    const { chart, width, height } = this;
    const ascending = (values) => values.sort((a, b) => a - b);
    const heights = chart.lines.map(([value]) => value);
    const values = ascending(this.curves.flatMap((one) => one.values));
    const axis = chart.logarithmic && values.some((value) => value > 0) ? logarithmicAxis : linearAxis;
    const up = axis(values, heights);
    const across = linearAxis(ascending(this.curves.map((one) => one.across[one.across.length - 1])), [], true);
    const right = width - LEFT - RIGHT;
    const bottom = height - TOP - BOTTOM;
    this.x = (value) => across.place(value) * right;
    this.y = (value) => (1 - up.place(value)) * bottom;
    const plot = drawn("g", { transform: `translate(${LEFT} ${TOP})` });
    up.ticks.forEach(([value, label]) => {
      plot.append(drawn("path", { class: "grid", d: `M0 ${this.y(value)}H${right}` }));
      plot.append(drawn("text", { x: -8, y: this.y(value), class: "up" }, label));
    });
    across.ticks.forEach(([value, label]) => plot.append(drawn("text", { x: this.x(value), y: bottom + 18, class: "across" }, label)));
    plot.append(drawn("path", { class: "axis", d: `M0 0V${bottom}H${right}` }));
    plot.append(drawn("text", { x: right / 2, y: bottom + 38, class: "across name" }, chart.across));
    plot.append(drawn("text", { x: 8 - LEFT, y: 18 - TOP, class: "name" }, chart.up));
    // An element of its own, since what lies outside of it is not drawn.
    this.plot = drawn("svg", { x: LEFT, y: TOP, width: right, height: bottom });
    this.svg.append(plot, this.plot);
  }

  /** Lines across, behind the curves; their labels in front. */
  drawLine(value, label) {
    const y = this.y(value);
    const right = this.width - LEFT - RIGHT;
    if (y < 0 || y > this.height - TOP - BOTTOM) return;
    this.plot.prepend(drawn("path", { class: "level", d: `M0 ${y}H${right}` }));
    this.plot.append(drawn("text", { x: right - 4, y: y < 16 ? y + 13 : y - 5, class: "level" }, label));
  }

  drawCurves() {
    // The best models are drawn last, over the others, and means over seeds.
    const inOrder = [...this.curves].reverse().sort((a, b) => a.main - b.main);
    for (const one of inOrder) {
      one.xs = Float32Array.from(one.across, this.x);
      one.ys = Float32Array.from(one.values, this.y);
      const points = [...one.xs].map((x, n) => `${x.toFixed(1)} ${one.ys[n].toFixed(1)}`);
      const d = points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h.01`;
      const dashes = one.main && points.length > 1 ? one.model.dashes : "";
      one.path = drawn("path", { class: `curve ${one.main ? "main" : "seed"}`, d, stroke: one.model.colour, "stroke-dasharray": dashes });
      if (points.length === 1) one.path.classList.add("dot");
      this.plot.append(one.path);
    }
    this.marker = drawn("circle", { class: "marker", r: 4.5, visibility: "hidden" });
    this.plot.append(this.marker);
  }

  /** The curves that answer: in a crowd, the seeds of one model alone. */
  answering() {
    return this.curves.filter((one) => one.main || !this.many || one.number === this.board.lit);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    this.choose(this.nearest(event.clientX - box.left - LEFT, event.clientY - box.top - TOP));
  }

  nearest(x, y) {
    let found = null;
    let least = REACH ** 2;
    if (!this.marker) return found;
    for (const one of this.answering()) {
      for (let n = 0; n < one.xs.length; n++) {
        const distance = (one.xs[n] - x) ** 2 + (one.ys[n] - y) ** 2;
        if (distance < least) [least, found] = [distance, { curve: one, n }];
      }
    }
    return found;
  }

  key(event) {
    if (!this.curves.length || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const first = this.curves.find(({ main }) => main) ?? this.curves[0];
    if (!this.chosen) this.choose({ curve: first, n: first.values.length - 1 });
    else if (event.key === "ArrowLeft") this.along(-1);
    else if (event.key === "ArrowRight") this.along(1);
    else this.toNext(event.key === "ArrowUp" ? -1 : 1);
  }

  along(by) {
    const { curve: one, n } = this.chosen;
    this.choose({ curve: one, n: Math.min(one.values.length - 1, Math.max(0, n + by)) });
  }

  /** The next curve above (-1) or below (1), at about the same place across. */
  toNext(side) {
    const { curve: here, n: at } = this.chosen;
    const order = this.answering().map((one) => {
      const away = (n) => Math.abs(one.xs[n] - here.xs[at]);
      const n = one.xs.reduce((best, _, m) => (away(m) < away(best) ? m : best), 0);
      return { curve: one, n: one === here ? at : n };
    });
    order.sort((a, b) => a.curve.ys[a.n] - b.curve.ys[b.n]);
    const next = order[order.findIndex((one) => one.curve === here) + side];
    if (next) this.choose(next);
  }

  /** A point of a curve, {curve, n}, or null for none. */
  choose(point) {
    if (point?.curve === this.chosen?.curve && point?.n === this.chosen?.n) return;
    this.chosen?.curve.path?.classList.remove("here");
    this.chosen = point;
    light(this.board, point?.curve.number ?? null);
    this.tip.hidden = !point;
    this.marker?.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    const { curve: one, n } = point;
    one.path.classList.add("here");
    this.marker.setAttribute("cx", one.xs[n]);
    this.marker.setAttribute("cy", one.ys[n]);
    this.marker.setAttribute("fill", one.model.colour);
    this.say(one, n);
  }

  say(one, n) {
    const label = element("b");
    const swatch = label.appendChild(element("i", "swatch"));
    swatch.style.background = one.model.colour;
    label.append(one.model.label);
    const at = `step ${shownStep(one.steps[n])}${this.chart.curve === "timed" ? `, after ${shownSeconds(one.across[n])}` : ""}`;
    const score = element("span", "score", `${shownScore(one.values[n])} ${this.board.unit}`);
    this.tip.replaceChildren(label, element("span", "", one.who), element("span", "", at), score);
    this.placeTip(one.xs[n], Math.min(Math.max(one.ys[n], 0), this.height - TOP - BOTTOM));
  }

  /** Beside the point, towards the middle of the plot, within the figure. */
  placeTip(x, y) {
    const [outer, inner] = [this.figure, this.svg].map((part) => part.getBoundingClientRect());
    const { offsetWidth, offsetHeight } = this.tip;
    const at = inner.left - outer.left + LEFT + x;
    const left = LEFT + x > this.width / 2 ? at - offsetWidth - 14 : at + 14;
    this.tip.style.left = `${Math.max(0, Math.min(left, outer.width - offsetWidth))}px`;
    this.tip.style.top = `${inner.top - outer.top + TOP + y - offsetHeight / 2}px`;
  }

  /** The model's curves stand out, others fade; null for none. */
  light(number) {
    this.svg.classList.toggle("lighted", number !== null);
    this.curves?.forEach((one) => one.path?.classList.toggle("lit", one.number === number));
  }
}

/** A model stands out in the curves and in the table of its board. */
function light(board, number) {
  if (board.lit === number) return;
  board.lit = number;
  board.drawn.forEach((chart) => chart.light(number));
  board.rows.forEach((row) => row.classList.toggle("lit", Number(row.dataset.model) === number));
}

function open(section) {
  const board = data.boards[section.dataset.board];
  board.rows = [...section.querySelectorAll("tr[data-model]")];
  board.drawn = [...section.querySelectorAll("figure[data-chart]")].map(
    (figure) => new Chart(board, board.charts[figure.dataset.chart], figure),
  );
  charts.push(...board.drawn);
  board.rows.forEach((row) => {
    row.addEventListener("pointerenter", () => light(board, Number(row.dataset.model)));
    row.addEventListener("pointerleave", () => light(board, null));
  });
}

document.querySelectorAll("table.leaderboard").forEach(makeSortable);
document.querySelectorAll("[data-board]").forEach(open);
charts.forEach((chart) => chart.draw());
document.querySelectorAll(".filter").forEach(offerFilter);
document.body.dataset.ready = "true";
