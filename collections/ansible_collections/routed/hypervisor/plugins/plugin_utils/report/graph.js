// The drawing: zoom, search, sessions, and movement by keyboard. Scrolling is the browser's own.
const drawing = $("#drawing");
const picture = drawing.querySelector("svg");
const [fullWidth, fullHeight] = picture.getAttribute("viewBox").split(" ").slice(2).map(Number);
const shapes = new Map([...picture.querySelectorAll(".node")].map((shape) => [shape.dataset.node, shape]));
let scale = 1;

function zoom(wanted, x = drawing.clientWidth / 2, y = drawing.clientHeight / 2) {
  const next = Math.min(4, Math.max(0.1, wanted));
  const [atX, atY] = [(drawing.scrollLeft + x) / scale, (drawing.scrollTop + y) / scale];
  scale = next;
  picture.setAttribute("width", Math.round(fullWidth * scale));
  picture.setAttribute("height", Math.round(fullHeight * scale));
  drawing.scrollLeft = atX * scale - x;
  drawing.scrollTop = atY * scale - y;
}

const fit = () => zoom(Math.min(1.25, (drawing.clientWidth - 2) / fullWidth));

function bringIntoView(shape) {
  const [box, frame] = [shape.getBoundingClientRect(), drawing.getBoundingClientRect()];
  drawing.scrollLeft += box.x + box.width / 2 - frame.x - frame.width / 2;
  drawing.scrollTop += box.y + box.height / 2 - frame.y - frame.height / 2;
}

// The node, what it is connected to, and its sessions stand out.
function choose(name) {
  for (const shape of picture.querySelectorAll(".chosen, .near")) shape.classList.remove("chosen", "near");
  const shape = shapes.get(name);
  if (!shape) return;
  shape.classList.add("chosen");
  for (const line of picture.querySelectorAll(".line, .session"))
    if ([line.dataset.end, line.dataset.a, line.dataset.b].includes(name)) line.classList.add("near");
  if (scale < 0.6) zoom(0.9);
  bringIntoView(shape);
}

function dim(words, onlyFailed) {
  for (const [name, shape] of shapes) {
    const node = nodes.get(name);
    const isNear = words.every((word) => node.text.includes(word)) && (!onlyFailed || node.state === "failed");
    shape.classList.toggle("far", !isNear);
  }
}

function centre(shape) {
  const box = shape.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}

const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
function move(from, [dx, dy]) {
  const [x, y] = centre(from);
  let [best, least] = [null, Infinity];
  for (const shape of shapes.values()) {
    const [toX, toY] = centre(shape);
    const along = (toX - x) * dx + (toY - y) * dy;
    const aside = Math.abs((toX - x) * dy) + Math.abs((toY - y) * dx);
    if (along > 4 && along + 3 * aside < least) [best, least] = [shape, along + 3 * aside];
  }
  if (best) enter(best);
}

function enter(shape) {
  for (const other of picture.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
  shape.setAttribute("tabindex", "0");
  shape.focus({ preventScroll: true });
  bringIntoView(shape);
}

function startGraph() {
  for (const shape of shapes.values()) shape.setAttribute("tabindex", "-1");
  shapes.values().next().value?.setAttribute("tabindex", "0");
  picture.addEventListener("click", (event) => {
    const shape = event.target.closest(".node");
    if (shape && !wasDragged) location.hash = `node=${encodeURIComponent(shape.dataset.node)}`;
  });
  picture.addEventListener("keydown", (event) => {
    const shape = event.target.closest(".node");
    if (!shape) return;
    if (event.key in DIRECTIONS) move(shape, DIRECTIONS[event.key]);
    else if (event.key === "Enter" || event.key === " ") showNode(shape.dataset.node);
    else return;
    event.preventDefault();
  });
  drawing.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const frame = drawing.getBoundingClientRect();
    zoom(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15), event.clientX - frame.x, event.clientY - frame.y);
  }, { passive: false });
  let wasDragged = false;
  let start = null;
  drawing.addEventListener("pointerdown", (event) => {
    wasDragged = false;
    if (event.pointerType === "mouse" && event.button === 0)
      start = [event.clientX, event.clientY, drawing.scrollLeft, drawing.scrollTop];
  });
  addEventListener("pointermove", (event) => {
    if (!start) return;
    const [dx, dy] = [event.clientX - start[0], event.clientY - start[1]];
    wasDragged ||= Math.abs(dx) + Math.abs(dy) > 5;
    if (wasDragged) [drawing.scrollLeft, drawing.scrollTop] = [start[2] - dx, start[3] - dy];
  });
  addEventListener("pointerup", () => { start = null; });
  $("#zoom-in").onclick = () => zoom(scale * 1.25);
  $("#zoom-out").onclick = () => zoom(scale / 1.25);
  $("#zoom-fit").onclick = fit;
  $("#zoom-full").onclick = () => zoom(1);
  $("#show-sessions").onchange = (event) => drawing.classList.toggle("all-sessions", event.target.checked);
  fit();
}
