// The data, elements, the search, the theme and the details of a node.
const COLUMNS = ["node", "kind", "state", "title", "seen", "wanted", "seconds", "to", "source", "vrf", "toVrf", "family",
  "silent", "prefix", "table"];
const $ = (selector) => document.querySelector(selector);

// Texts of the data are only ever set as text, never as markup.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...flat(children));
  return made;
}

const flat = (children) => children.flat(Infinity).filter((child) => child !== "" && child !== undefined && child !== false);

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const data = await unpacked($("#data").textContent);
const nodes = new Map(data.nodes.map((node) => [node.name, { ...node, results: [], about: [], links: [], sessions: [] }]));
const results = data.results.map((row) => {
  const result = Object.fromEntries(COLUMNS.map((name, index) => [name, row[index]]));
  result.kind = data.kinds[result.kind];
  result.text = `${result.node} ${result.title} ${result.seen} ${result.prefix}`.toLowerCase();
  nodes.get(result.node)?.results.push(result);
  for (const other of new Set([result.to, result.source]))
    if (other && other !== result.node) nodes.get(other)?.about.push(result);
  return result;
});
const sessions = data.sessions.map((session) =>
  ({ ...session, text: `${session.node} ${session.peer} ${session.name} ${session.vrf} ${session.neighbor}`.toLowerCase() }));
for (const [node, fabric, port, state] of data.links) nodes.get(node)?.links.push({ fabric, port, state });
for (const session of sessions) {
  nodes.get(session.node)?.sessions.push(session);
  if (session.peer !== session.node) nodes.get(session.peer)?.sessions.push(session);
}
for (const node of nodes.values()) {
  const addresses = node.addresses.map((address) => address[3]).join(" ");
  node.text = `${node.name} ${node.kind} ${node.parent} ${node.vrf} ${addresses}`.toLowerCase();
}

const kindOf = (kind) => data.layers[kind] ?? kind;
const state = (name) => el("span", { class: `state ${name.replace(" ", "-")}` }, name);
const link = (name) => (nodes.has(name) ? el("a", { href: `#node=${encodeURIComponent(name)}` }, name) : name);

function failure(result) {
  return el("div", { class: "failure" }, el("b", {}, result.title), " ",
    el("span", { class: "tag" }, result.node), el("dl", {}, el("dt", {}, "seen"), el("dd", {}, result.seen || "nothing"),
      result.wanted ? [el("dt", {}, "right"), el("dd", {}, result.wanted)] : []));
}

function small(head, rows) {
  return el("table", {}, el("thead", {}, el("tr", {}, head.map((title) => el("th", {}, title)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))))));
}

function folded(title, content, open = false) {
  return el("details", { open }, el("summary", {}, title), content);
}

// Unpacked when the details of a node are first shown: they may be much longer than everything else.
let texts = null;
async function configuration(name) {
  texts ??= $("#texts").textContent ? unpacked($("#texts").textContent) : {};
  const files = Object.entries(await texts).filter(([, nodes]) => nodes[name] !== undefined);
  return files.length ? [el("h3", {}, "Configuration, without passwords"), files.map(([path, nodes]) =>
    folded(path, el("pre", { tabindex: "0", "aria-label": path }, nodes[name])))] : [];
}

let opener = null;
function showNode(name) {
  const node = nodes.get(name);
  if (!node) return;
  const failed = [...node.results, ...node.about].filter((result) => result.state === "failed");
  const others = node.results.filter((result) => result.state !== "failed");
  const below = [...nodes.values()].filter((other) => other.parent === name);
  const facts = [["state", state(node.state)], ["kind", node.kind], ...Object.entries(node.facts)];
  if (node.parent) facts.push(["on", link(node.parent)]);
  if (node.vrf) facts.push(["VRF", node.vrf]);
  const routes = node.results.filter((result) => result.kind === "route");
  $("#details").replaceChildren(...flat([
    el("header", {}, el("h2", { id: "details-title" }, name),
      el("button", { type: "button", onclick: hideNode, "aria-label": "Close the details" }, "✕ close")),
    el("dl", {}, facts.map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])),
    failed.map(failure),
    node.addresses.length ? folded(`${node.addresses.length} addresses`, small(["on", "VRF", "address"],
      node.addresses.map(([place, vrf, , address]) => [place, vrf, el("span", { class: "mono" }, address)])), true) : "",
    node.links.length ? folded(`${node.links.length} uplinks`, small(["fabric", "interface", "state"],
      node.links.map((one) => [one.fabric, one.port, state(one.state)])), true) : "",
    node.sessions.length ? folded(`${node.sessions.length} BGP sessions, from either end`, small(["at", "peer", "VRF", "BGP", "BFD"],
      node.sessions.map((one) => [link(one.node), link(one.peer), `${one.vrf} ${one.families}`, state(one.bgp), one.bfd ? state(one.bfd) : "–"]))) : "",
    below.length ? folded(`${below.length} ${below.length === 1 ? below[0].kind : "guests and containers"}`, small(["name", "VRF", "state"],
      below.map((one) => [link(one.name), one.vrf, state(one.state)])), true) : "",
    routes.length ? folded(`${routes.length} routes`, small(["prefix", "table", "next hops", "state"],
      routes.map((one) => [el("span", { class: "mono" }, one.prefix), one.table, hops(one.seen), state(one.state)]))) : "",
    others.length ? folded(`${others.length} results that did not fail`, small(["what", "seen", "state"],
      others.map((one) => [one.title, one.seen, state(one.state)]))) : "",
    el("div", { id: "configuration" })]));
  const shown = $("#configuration");
  configuration(name).then((found) => shown.replaceChildren(...flat(found)));
  if ($("#details").hidden) opener = document.activeElement;
  $("#details").hidden = false;
  $("#details").scrollTop = 0;
  $("#details").focus({ preventScroll: true });
  choose(name);
}

function hideNode() {
  if ($("#details").hidden) return;
  $("#details").hidden = true;
  choose("");
  if (location.hash.startsWith("#node=")) history.replaceState(null, "", "#topology");
  opener?.focus?.({ preventScroll: true });
}

// Next hops with the nodes that they are.
const owners = new Map();
for (const node of nodes.values())
  for (const [place, , , address] of node.addresses)
    if (!owners.has(address.split("/")[0])) owners.set(address.split("/")[0], `${node.name} on ${place}`);
function hops(seen) {
  return seen.split(", ").map((hop) => el("div", {}, el("span", { class: "mono" }, hop), owners.has(hop) ? ` ${owners.get(hop)}` : ""));
}

function followHash() {
  if (location.hash.startsWith("#node=")) showNode(decodeURIComponent(location.hash.slice(6)));
}

const THEMES = ["auto", "light", "dark"];
function setTheme(name) {
  document.documentElement.style.colorScheme = name === "auto" ? "" : name;
  $("#theme").textContent = `Theme: ${name}`;
  $("#theme").dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* a browser may forbid it to files */ }
}
