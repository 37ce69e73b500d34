// The reachability matrices and the tables, and what the search leaves of them.
const ROWS = 100;
const MOST_CELLS = 1600;
const place = (id) => $(`#${id} .content`);

function table(id, caption, head, rows, cells, limit = ROWS) {
  const body = el("tbody");
  const fill = (count) => body.replaceChildren(...rows.slice(0, count).map((row) =>
    el("tr", { class: row.state === "failed" ? "failed" : false }, cells(row).map((cell) => el("td", {}, cell)))));
  fill(limit);
  const more = el("p", { class: "more", hidden: rows.length <= limit }, el("button", { type: "button", onclick: () => {
    fill(rows.length);
    more.hidden = true;
  } }, `Show all ${rows.length.toLocaleString("en")}`));
  place(id).replaceChildren(el("div", { class: "wide", tabindex: "0" }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, head.map((title) => el("th", { scope: "col" }, title)))), body)), more);
}

const failedFirst = (rows) => [...rows].sort((a, b) => (b.state === "failed") - (a.state === "failed"));
const count = (number, things) => `${number.toLocaleString("en")} ${things}${number === 1 ? "" : "s"}`;

// Who was tried from where: by VRF and family, then source, then target.
const matrices = new Map();
for (const result of results) {
  if (result.kind !== "ping" || !result.to) continue;
  const key = `${result.vrf || "main"}, ${result.family === "ipv6" ? "IPv6" : "IPv4"}`;
  const source = result.source || result.node;
  const target = result.toVrf && result.toVrf !== result.vrf ? `${result.to} in ${result.toVrf}` : result.to;
  if (!matrices.has(key)) matrices.set(key, new Map());
  const rows = matrices.get(key);
  if (!rows.has(source)) rows.set(source, new Map());
  const cells = rows.get(source);
  if (!cells.has(target)) cells.set(target, []);
  cells.get(target).push(result);
}

function symbol(cell) {
  const failed = cell.find((result) => result.state === "failed");
  if (failed) return failed.silent ? "‼" : "✕";
  const passed = cell.find((result) => result.state === "passed");
  return passed ? (passed.silent ? "∅" : "✓") : "○";
}

function cellOf(source, target, cell) {
  if (!cell) return el("td", { class: source === target ? "self" : false });
  const shown = symbol(cell);
  const kind = "‼✕".includes(shown) ? "failed" : "✓∅".includes(shown) ? `passed${shown === "∅" ? " silent" : ""}` : "";
  return el("td", { class: kind, title: cell.map((one) => `${one.title}: ${one.seen}`).join("\n") }, shown);
}

function matrix(key, rows, keeps) {
  const sources = [...rows.keys()].filter((source) => keeps(source, rows.get(source)));
  const targets = [...new Set(sources.flatMap((source) => [...rows.get(source).keys()]))]
    .sort((a, b) => a.includes(" in ") - b.includes(" in ") || a.localeCompare(b, "en", { numeric: true }));
  if (!sources.length) return "";
  const all = sources.flatMap((source) => [...rows.get(source).values()].flat());
  const failed = all.filter((result) => result.state === "failed").length;
  const silent = all.filter((result) => result.silent).length;
  const title = `${key}: ${count(all.length - silent, "way")} that must work, ${count(silent, "way")} that must not` +
    (failed ? `, ${failed} FAILED` : "");
  const large = sources.length * targets.length > MOST_CELLS;
  return folded(title, el("div", { class: "wide", tabindex: "0" }, large ? digest(rows, sources) : el("table", { class: "matrix" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "from \\ to"),
      targets.map((target) => el("th", { scope: "col" }, el("span", {}, target))))),
    el("tbody", {}, sources.map((source) => el("tr", {}, el("th", { scope: "row" }, link(source)),
      targets.map((target) => cellOf(source, target, rows.get(source).get(target)))))))), true);
}

// Too many for a matrix: a line for each source. A search narrows it down to one.
function digest(rows, sources) {
  const line = (source) => {
    const cells = [...rows.get(source)];
    const named = (mark) => cells.filter(([, cell]) => symbol(cell) === mark).map(([target]) => target).join(", ");
    return [link(source), named("✓"), named("∅"), el("b", { class: "bad" }, [named("✕"), named("‼")].filter(Boolean).join(", "))];
  };
  const ordered = [...sources].sort((a, b) => [...rows.get(b).values()].flat().filter((one) => one.state === "failed").length -
    [...rows.get(a).values()].flat().filter((one) => one.state === "failed").length);
  const made = small(["from", "✓ reaches", "∅ must not reach", "✕ ‼ failed"], ordered.slice(0, ROWS).map(line));
  made.prepend(el("caption", {}, sources.length > ROWS ? `${ROWS} of ${sources.length} sources, those with failures first; search for others` : ""));
  return made;
}

let kindWanted = "";
function showAll(words, onlyFailed) {
  const fits = (row) => words.every((word) => row.text.includes(word)) && (!onlyFailed || row.state === "failed");
  place("reachability").replaceChildren(...[...matrices].map(([key, rows]) => matrix(key, rows, (source, cells) => {
    const found = [...cells.values()].flat();
    return (!words.length || words.every((word) => source.toLowerCase().includes(word)) || found.some(fits)) &&
      (!onlyFailed || found.some((result) => result.state === "failed"));
  })));
  if (!place("reachability").textContent) place("reachability").replaceChildren(el("p", {}, "Nothing matches."));
  const chosen = failedFirst(sessions.filter(fits));
  table("sessions", `${count(chosen.length, "session")} as each end sees it`,
    ["at", "peer", "VRF", "family", "neighbor", "AS", "fabric", "BGP", "BFD", "seen"], chosen,
    (one) => [link(one.node), link(one.peer), one.vrf, one.families, el("span", { class: "mono" }, one.neighbor),
      one.own_as === one.peer_as ? one.own_as : `${one.own_as} → ${one.peer_as}`, one.fabric, state(one.bgp), one.bfd ? state(one.bfd) : "–", one.seen]);
  const routes = failedFirst(results.filter((one) => one.kind === "route" && fits(one)));
  table("routes", count(routes.length, "verified route"), ["on", "prefix", "VRF", "table", "next hops seen", "right", "state"], routes,
    (one) => [link(one.node), el("span", { class: "mono" }, one.prefix), one.vrf, one.table, hops(one.seen), one.wanted, state(one.state)]);
  const walls = failedFirst(results.filter((one) => one.kind === "firewall" && fits(one)));
  const names = [...new Set(walls.flatMap((one) => Object.keys(data.counters[one.node] ?? {})))];
  table("firewall", walls.length ? `${count(walls.length, "firewall")}; packets dropped since it was loaded` : "No firewall was verified",
    ["on", "state", "seen", ...names.map((name) => name.replaceAll("_", " "))], walls,
    (one) => [link(one.node), state(one.state), one.seen, ...names.map((name) => (data.counters[one.node]?.[name] ?? "–").toLocaleString("en"))]);
  showResults(failedFirst(results.filter((one) => fits(one) && (!kindWanted || one.kind === kindWanted))));
}

function showResults(found) {
  table("results", count(found.length, "result"), ["on", "kind", "what", "seen", "right", "state", "after"], found,
    (one) => [link(one.node), one.kind.replaceAll("_", " "), one.title, one.seen, one.wanted, state(one.state), `${one.seconds} s`]);
  place("results").prepend(el("p", { class: "tools" }, el("label", {}, "kind ", el("select", { id: "kind", onchange: (event) => {
    kindWanted = event.target.value;
    refresh();
    $("#kind").focus();
  } }, el("option", { value: "" }, "all"), data.kinds.map((kind) =>
    el("option", { value: kind, selected: kind === kindWanted }, kindOf(kind)))))));
}

function refresh() {
  const words = $("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const onlyFailed = $("#only-failed").checked;
  dim(words, onlyFailed);
  for (const item of document.querySelectorAll(".failures li"))
    item.hidden = !words.every((word) => item.dataset.text.toLowerCase().includes(word));
  for (const item of document.querySelectorAll("#drills .drill"))
    item.hidden = !words.every((word) => item.dataset.text.toLowerCase().includes(word)) || (onlyFailed && item.dataset.state !== "failed");
  showAll(words, onlyFailed);
}

let waiting = 0;
$("#search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, results.length > 20000 ? 250 : 60);
});
$("#only-failed").addEventListener("change", refresh);
$("[data-only-failed]")?.addEventListener("click", () => {
  $("#only-failed").checked = true;
  refresh();
});
$("#theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf($("#theme").dataset.theme) + 1) % THEMES.length]));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideNode();
  if (event.key === "/" && !/INPUT|SELECT/.test(document.activeElement?.tagName)) {
    event.preventDefault();
    $("#search").focus();
  }
});
addEventListener("hashchange", followHash);
let theme = "auto";
try { theme = localStorage.getItem("theme") ?? theme; } catch { /* a browser may forbid it to files */ }
setTheme(THEMES.includes(theme) ? theme : "auto");
startGraph();
refresh();
followHash();
document.documentElement.dataset.ready = "true";
