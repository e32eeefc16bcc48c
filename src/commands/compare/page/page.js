"use strict";
const byId = (id) => document.getElementById(id);
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element) element[key] = value; else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};
// As far apart as hues go, and lines of other strokes once they are used up.
const colour = (at) => `hsl(${(210 + at * 137.5) % 360} 70% 50%)`;
const number = (value, digits = 2) => (value === null || value === undefined) ? "–" : value.toFixed(digits);

function head() {
  const { prompt, model, sampler, steps, negative } = data.asked;
  byId("title").textContent = prompt ? `“${prompt}”` : "without a prompt";
  document.title = `guidec: ${prompt || "comparison"}`;
  const words = [`${model}, ${sampler}, ${steps} steps`, `${data.variants.length} rules, ${data.seeds.length} seeds`];
  if (negative) words.push(`negative “${negative}”`);
  byId("asked").textContent = words.join(" · ");
}

function choose(select, names, at, changed) {
  select.replaceChildren(...names.map((name, i) => make("option", { value: i, textContent: name })));
  select.value = at;
  select.addEventListener("change", changed);
}

function picture(variant, seed) {
  const made = variant && variant.pictures[seed];
  if (!made) return make("span", { textContent: "" });
  const image = make("img", { src: made.source, alt: `${variant.label}, seed ${seed}`, loading: "lazy" });
  image.title = `${variant.label}\nseed ${seed}\n${made.evaluations} evaluations`;
  if (made.right === false) {
    image.classList.add("wrong");
    image.title += "\nthe classifier sees something else";
  }
  image.addEventListener("click", () => {
    byId("large-picture").src = made.source;
    byId("large-picture").alt = image.alt;
    byId("large-text").textContent = image.title.replaceAll("\n", " · ");
    byId("large").showModal();
  });
  return image;
}

function grid() {
  const at = (column, row) => data.variants.find((v) => v.place[0] === column && v.place[1] === row);
  const top = make("tr", {}, make("th"), ...data.columns.map((name) => make("th", { textContent: name, scope: "col" })));
  const line = (name, cells) => make("tr", {}, make("th", { textContent: name, scope: "row" }),
    ...cells.map((cell) => make("td", {}, cell)));
  const columns = [...data.columns.keys()];
  const lines = data.rows.length === 0
    ? data.seeds.map((seed) => line(`seed ${seed}`, columns.map((column) => picture(at(column, 0), seed))))
    : data.rows.map((name, row) => line(name,
      columns.map((column) => picture(at(column, row), data.seeds[byId("grid-seed").value]))));
  byId("grid").replaceChildren(make("thead", {}, top), make("tbody", {}, ...lines));
}

function pair() {
  const [left, right] = ["left", "right"].map((id) => data.variants[byId(id).value]);
  const seed = data.seeds[byId("pair-seed").value];
  const show = (id, variant) => {
    const made = variant.pictures[seed];
    byId(id).src = made ? made.source : "";
    byId(id).alt = `${variant.label}, seed ${seed}`;
  };
  show("over", left);
  show("under", right);
}

function numbers() {
  const columns = [
    ["evaluations", "evaluations", 1, 1], ["class", "class", 0, 100], ["saturation", "saturation", 3, 1],
    ["contrast", "contrast", 1, 1], ["clipped", "clipped", 2, 100], ["sharpness", "sharpness", 2, 1],
    ["diversity", "diversity", 2, 1], ["distance", `from ${data.reference}`, 2, 1],
  ].filter(([key]) => data.variants.some((v) => v.measured[key] !== null));
  const percent = (key) => (key === "class" || key === "clipped" ? " %" : "");
  const planned = ([least, most]) => (least === most ? `${least}` : `${least} to ${most}`);
  const top = make("tr", {}, make("th", { textContent: "rule" }), make("th", { textContent: "planned" }),
    ...columns.map(([, name]) => make("th", { textContent: name })));
  const line = (variant) => make("tr", { className: variant.label === data.reference ? "reference" : "" },
    make("td", { textContent: variant.label }), make("td", { textContent: planned(variant.planned) }),
    ...columns.map(([key, , digits, by]) => {
      const value = variant.measured[key];
      const text = value === null ? "–" : number(value * by, digits) + percent(key);
      return make("td", { textContent: text });
    }));
  byId("numbers").replaceChildren(make("thead", {}, top), make("tbody", {}, ...data.variants.map(line)));
}

const CURVES = [
  ["scale", "scale in force"], ["update", "length of the update"], ["norm", "length of the guided prediction"],
  ["cosine", "cosine of cond and uncond"], ["evaluations", "evaluations"],
  ["saturation", "saturation of the clean picture"],
];

/// The points of a curve: of one seed, or the mean over all.
function points(variant, key) {
  const chosen = byId("curve-seed").value;
  const seeds = chosen === "0" ? data.seeds : [data.seeds[chosen - 1]];
  const curves = seeds.map((seed) => variant.pictures[seed]).filter(Boolean).map((made) => made.curve);
  const steps = Math.max(0, ...curves.map((curve) => curve.length));
  return [...Array(steps).keys()].map((step) => {
    const values = curves.map((curve) => curve[step] && curve[step][key]);
    const known = values.filter((value) => value !== null && value !== undefined);
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  });
}

function curve(key, name) {
  const all = data.variants.map((variant) => points(variant, key));
  const known = all.flat().filter((value) => value !== null);
  if (known.length === 0) return null;
  const [width, height, left, bottom] = [300, 130, 34, 16];
  const low = Math.min(...known), high = Math.max(...known);
  const reach = high - low || Math.abs(high) || 1;
  const steps = Math.max(...all.map((list) => list.length));
  const x = (step) => left + (width - left) * (steps > 1 ? step / (steps - 1) : 0.5);
  const y = (value) => 6 + (height - bottom - 6) * (1 - (value - low) / reach);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", name);
  const add = (tag, attributes, text) => {
    const element = document.createElementNS(svg.namespaceURI, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    svg.append(element);
  };
  const digits = reach >= 100 ? 0 : reach >= 10 ? 1 : reach >= 0.1 ? 2 : 4;
  for (const value of high > low ? [low, high] : [low]) {
    add("line", { x1: left, x2: width, y1: y(value), y2: y(value) });
    add("text", { x: left - 4, y: y(value) + 3, "text-anchor": "end" }, number(value, digits));
  }
  add("text", { x: left, y: height - 2 }, "step 0");
  add("text", { x: width, y: height - 2, "text-anchor": "end" }, `${steps - 1}`);
  all.forEach((list, at) => {
    let path = "", pen = "M";
    list.forEach((value, step) => {
      if (value === null) { pen = "M"; return; }
      path += `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    });
    const dashes = at < 8 ? "" : `${2 + at % 5} 3`;
    add("path", { d: path || "M0 0", stroke: colour(at), "stroke-dasharray": dashes });
  });
  return make("figure", {}, make("figcaption", { textContent: name }), svg);
}

function curves() {
  byId("curves").replaceChildren(...CURVES.map(([key, name]) => curve(key, name)).filter(Boolean));
}

function legend() {
  byId("legend").replaceChildren(...data.variants.map((variant, at) => {
    const mark = make("i");
    mark.style.borderColor = colour(at);
    if (at >= 8) mark.style.borderTopStyle = "dashed";
    return make("li", {}, mark, variant.label);
  }));
}

// What a plan says of its cost.
const cost = (plan) => (plan.split("\n").find((line) => line.startsWith("cost")) || "").replace(/^cost\s+/, "");

function plans() {
  byId("plans").replaceChildren(...data.variants.map((variant) => make("details", {},
    make("summary", { textContent: `${variant.label}: ${cost(variant.plan)}` }),
    make("pre", { textContent: variant.plan }))));
}

head();
const labels = data.variants.map((variant) => variant.label);
const seeds = data.seeds.map((seed) => `${seed}`);
choose(byId("grid-seed"), seeds, 0, grid);
byId("seed-of-grid").hidden = data.rows.length === 0 || seeds.length < 2;
choose(byId("left"), labels, Math.max(0, labels.indexOf(data.reference)), pair);
choose(byId("right"), labels, labels.length > 1 ? labels.length - 1 : 0, pair);
choose(byId("pair-seed"), seeds, 0, pair);
choose(byId("curve-seed"), ["mean of all", ...seeds], 0, curves);
byId("cut").addEventListener("input", (event) => byId("slider").style.setProperty("--cut", `${event.target.value}%`));
byId("size").addEventListener("input", (event) => byId("grid").style.setProperty("--size", `${event.target.value}px`));
byId("large").addEventListener("click", () => byId("large").close());
// Paper cannot be clicked: all plans are open on it, and as they were afterwards.
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("#plans details:not([open])")];
  for (const plan of closed) plan.open = true;
});
window.addEventListener("afterprint", () => {
  for (const plan of closed) plan.open = false;
});
for (const draw of [grid, pair, numbers, legend, curves, plans]) draw();
