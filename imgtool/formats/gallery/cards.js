// The window: cards exist for the rows in view and a screen around them. A card is a document: an image, or a file with
// its pages.

const grid = $("grid");
const gallery = $("gallery");
const cards = new Map();
let printing = false;
let geometry = null;

function arrange() {
  const count = select();
  $("count").textContent = count === entries.length
    ? numbers.format(entries.length)
    : `${numbers.format(count)} of ${numbers.format(entries.length)}`;
  const loaded = document.documentElement.dataset.state === "ready";
  $("empty").hidden = order.length > 0 || !loaded;
  $("empty").firstElementChild.textContent = entries.length ? "No image matches these filters." : "There are no images in this gallery.";
  $("clear").hidden = !entries.length;
  place(true);
}

// What sticks to the top of the window: the toolbar, on a narrow one the filter box alone.
const barHeight = () => (document.querySelector(".toolbar").offsetHeight || document.querySelector(".find").offsetHeight);

let asked = 0;
function arrangeSoon() {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(() => {
    // The matches are above the fold of a page that was scrolled for the former ones.
    const top = gallery.getBoundingClientRect().top - barHeight();
    if (top < 0) window.scrollBy(0, top - 18);
    for (const card of cards.values()) card.dataset.stale = "";
    arrange();
  });
}

function measure() {
  if (!cards.size) show(0, 1);
  const card = grid.firstElementChild;
  const style = getComputedStyle(grid);
  return {
    columns: style.gridTemplateColumns.split(" ").length,
    row: card.getBoundingClientRect().height + parseFloat(style.rowGap),
    gap: parseFloat(style.rowGap),
  };
}

function place(remeasure) {
  if (!order.length || printing) {
    show(0, printing ? order.length : 0);
    gallery.style.height = "";
    geometry = null;
    return;
  }
  if (remeasure || !geometry) geometry = measure();
  const { columns, row, gap } = geometry;
  const rows = Math.ceil(order.length / columns);
  const above = -gallery.getBoundingClientRect().top;
  const first = Math.max(0, Math.min(rows - 1, Math.floor((above - innerHeight * 0.75) / row)));
  const last = Math.min(rows, Math.ceil((above + innerHeight * 1.75) / row));
  gallery.style.height = `${rows * row - gap}px`;
  grid.style.transform = `translateY(${first * row}px)`;
  show(first * columns, Math.max(last, first + 1) * columns);
}

function show(from, to) {
  const wanted = new Set(order.slice(from, to));
  for (const [found, card] of cards) {
    if (!wanted.has(found)) { card.remove(); cards.delete(found); }
  }
  let next = grid.firstElementChild;
  let position = from;
  for (const found of wanted) {
    let card = cards.get(found);
    if (!card) cards.set(found, (card = fill(el("li", "card"), found)));
    else if ("stale" in card.dataset) renew(card, found);
    position += 1;
    card.ariaPosInSet = position;
    card.ariaSetSize = order.length;
    // A card that is where it belongs is left alone: moving it would take the focus off it.
    if (card === next) next = next.nextElementSibling;
    else grid.insertBefore(card, next);
  }
}

// Scroll to the card of a document and give it the focus.
function focusCard(found) {
  const at = order.indexOf(found);
  if (at < 0 || !geometry) return;
  const top = Math.floor(at / geometry.columns) * geometry.row + gallery.getBoundingClientRect().top;
  const bar = barHeight();
  if (top < bar) window.scrollBy(0, top - bar - 18);
  else if (top + geometry.row > innerHeight) window.scrollBy(0, Math.min(top - bar - 18, top + geometry.row - innerHeight));
  place(false);
  cards.get(found)?.querySelector(".frame").focus({ preventScroll: true });
}

// ---- One card: the first page that matches, and how many there are.

const ICONS = {
  broken: "M2.5 3.5h11v9h-11zM2.5 10.5l3-3 2.5 2.5M13.5 9l-2-1.5-1.5 1.5M6.5 3.5 9 6.5 7.5 8.5 9 12.5",
  plain: "M2.5 3.5h11v9h-11zM2.5 11l3.5-3.5 3 3 1.5-1.5 3 3M10.5 6.2h.01",
};

function thumbnailOf(entry) {
  const data = entry.thumbnail.textContent;
  if (data) {
    const image = el("img");
    image.alt = "";
    image.decoding = "async";
    image.src = `data:image/jpeg;base64,${data}`;
    return image;
  }
  const failed = entry.result.status === "failed";
  const icon = svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: failed ? ICONS.broken : ICONS.plain }));
  return el("span", "nothing", icon, failed ? "Not readable" : "No preview");
}

function overlayOn(frame, entry) {
  const { width, height } = entry.result;
  if (frame.querySelector(".boxes") || !(entry.lines?.length || entry.codes?.length) || !width || !height) return;
  const boxes = svg("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const outline = ({ box }, of) => {
    if (!box.flat().every(Number.isFinite)) return;
    boxes.append(svg("polygon", { points: box.map((point) => point.join(",")).join(" "), ...of }));
  };
  (entry.lines ?? []).forEach((line, index) => outline(line, { "data-line": index, ...(line.doubt ? { class: "doubtful" } : {}) }));
  (entry.codes ?? []).forEach((code, index) => outline(code, { "data-line": `code-${index}`, class: "code" }));
  frame.append(boxes, el("span", "said"));
}

const STATUSES = ["failed", "partial", "ok"];

function fill(card, found) {
  const [entry] = found.matching;
  const paged = found.pages > 1;
  const frame = button("frame", thumbnailOf(entry), () => openEntry(card.entry));
  frame.ariaLabel = `${entry.name}${paged ? `, ${pagesOf(found)}` : ""}: show details`;
  frame.ariaHasPopup = "dialog";
  const status = STATUSES[worst(found)];
  if (status !== "ok") frame.append(el("span", `badge ${status}`, status === "failed" ? "Failed" : "Partial"));
  if (paged) frame.append(el("span", "badge pages", pagesOf(found)));
  card.entry = entry;
  card.classList.toggle("paged", paged);
  card.replaceChildren(frame, bodyOf(entry));
  scrollToMatch(card);
  return card;
}

function pagesOf({ matching, entries: all, pages }) {
  if (matching.length < all.length) return `${numbers.format(matching.length)} of ${plural(pages, "page", "pages")}`;
  return all.length < pages ? `page ${all[0].result.page + 1} of ${numbers.format(pages)}` : plural(pages, "page", "pages");
}

function renew(card, found) {
  delete card.dataset.stale;
  if (card.entry !== found.matching[0] || found.pages > 1) {
    const focused = card.contains(document.activeElement);
    fill(card, found);
    if (focused) card.firstElementChild.focus({ preventScroll: true });
  } else {
    card.querySelector(".body").replaceWith(bodyOf(card.entry));
  }
  requestAnimationFrame(() => scrollToMatch(card));
}

function bodyOf(entry) {
  const { result } = entry;
  const name = el("div", "name", ...marked(entry.name));
  name.title = result.path;
  const facts = [
    result.pages > 1 ? `page ${result.page + 1}` : null,
    result.width && result.height ? `${numbers.format(result.width)} \u00d7 ${numbers.format(result.height)}` : null,
    result.file_size === null ? null : bytes(result.file_size),
  ].filter(Boolean).join(" \u00b7 ");
  const body = el("div", "body", name, facts ? el("div", "facts", facts) : null);
  const whole = entry.problems.length && !TASKS.some((task) => result.tasks[task] && !result.tasks[task].error);
  if (whole) body.append(problemBlock(entry.problems[0], "failed"));
  else body.append(...answersOf(entry));
  body.append(footOf(entry));
  return body;
}

function answersOf(entry) {
  const { tasks } = entry.result;
  const parts = [];
  if (tasks.caption) {
    parts.push(tasks.caption.error
      ? clamped(problemBlock({ task: "caption", ...tasks.caption.error }, "partial"))
      : el("div", "caption", ...marked(entry.caption ?? "")));
  }
  if (tasks.labels?.error) parts.push(problemBlock({ task: "labels", ...tasks.labels.error }, "partial"));
  else if (tasks.labels) parts.push(el("div", "tags", ...entry.labels.slice(0, 3).map(tagOf)));
  if (tasks.codes?.error) parts.push(problemBlock({ task: "codes", ...tasks.codes.error }, "partial"));
  else if (tasks.codes) parts.push(el("div", "tags", ...(entry.codes ?? []).slice(0, 3).map(codeTagOf)));
  if (tasks.text?.error) parts.push(problemBlock({ task: "text", ...tasks.text.error }, "partial"));
  else if (tasks.text) parts.push(sureLines(entry).length ? excerptOf(entry) : el("div", "none", "No text found"));
  return parts;
}

function clamped(block) {
  block.classList.add("caption");
  block.title = block.textContent;
  return block;
}

const tagOf = (label) => filterTag(el("span", "tag", ...marked(label.label), el("b", "", percent(label.score))), query.labels, label.label);

function codeTagOf(code, index) {
  const tag = filterTag(el("span", "tag", ...marked(code.value), el("b", "", code.kind)), query.codes, keyOf(code));
  tag.dataset.line = `code-${index}`;
  return tag;
}

// For the mouse; the keyboard has the chips and the buttons of the detail view.
function filterTag(tag, chosen, key) {
  tag.title = `Show only images with ${key}`;
  tag.addEventListener("click", () => toggleFilter(chosen, key));
  return tag;
}

// Long documents are read in the detail view; a card needs what a filter could have matched.
const EXCERPT = 120;

function excerptOf(entry) {
  return el("ol", "text", ...entry.lines.slice(0, EXCERPT).flatMap((line, index) => {
    if (line.doubt) return [];
    const item = el("li", "", ...marked(line.text));
    item.dataset.line = index;
    return [item];
  }));
}

function scrollToMatch(card) {
  const list = card.querySelector(".text");
  const hit = list?.querySelector("mark")?.parentElement;
  if (list) list.scrollTop = hit ? hit.offsetTop : 0;
}

function problemBlock(problem, kind) {
  const subject = problem.task && kind === "partial" ? `${problem.task[0].toUpperCase()}${problem.task.slice(1)}: ` : "";
  return el("div", `problem ${kind}`, el("p", "", subject + problem.message), problem.remedy ? el("p", "", problem.remedy) : null);
}

function footOf(entry) {
  const engines = [...new Set(entry.tasks.map(([, answer]) => engineOf(answer)))].filter(Boolean).join(" \u00b7 ");
  const foot = el("div", "foot", el("span", "", engines));
  if (entry.result.from_cache) foot.append(el("span", "", "from cache"));
  foot.firstElementChild.title = engines;
  return foot;
}

const engineOf = (answer) => (answer.stands_in_for ? `${answer.engine} (instead of ${answer.stands_in_for})` : answer.engine);

// The text with what the filter box holds marked in it.
function marked(text) {
  const plain = fold(text);
  if (!query.words.length || plain.length !== text.length) return [text];
  const hits = new Uint8Array(text.length);
  for (const word of query.words) {
    for (let at = plain.indexOf(word); at >= 0; at = plain.indexOf(word, at + 1)) hits.fill(1, at, at + word.length);
  }
  const pieces = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    while (end < text.length && hits[end] === hits[start]) end += 1;
    const piece = text.slice(start, end);
    pieces.push(hits[start] ? el("mark", "", piece) : piece);
  }
  return pieces;
}

// How tall a card is follows from the tasks that were asked in this gallery.
function fitCards() {
  const asks = (task) => entries.some((entry) => entry.result.tasks[task]);
  const parts = [23, 19, 23, asks("caption") ? 48 : 0, asks("labels") ? 31 : 0, asks("codes") ? 31 : 0, asks("text") ? 92 : 0];
  const troubled = entries.some((entry) => entry.problems.length);
  const height = Math.max(parts.reduce((sum, part) => sum + part, 18), troubled ? 164 : 0);
  grid.style.setProperty("--body", `${height / 16}rem`);
}

// ---- Boxes: a polygon and its line belong together, in a card as in the detail view.

function pick(root, index) {
  for (const node of root.querySelectorAll(".picked")) node.classList.remove("picked");
  const said = root.querySelector(".said");
  if (said) said.textContent = "";
  if (index === null) return;
  for (const node of root.querySelectorAll(`[data-line="${index}"]`)) {
    node.classList.add("picked");
    if (node.matches("li")) reveal(node.parentElement, node);
    else if (said && node.matches("polygon")) said.textContent = saidBy(root.entry, index);
  }
}

function saidBy(entry, index) {
  if (!index.startsWith("code-")) return entry.lines[index].text;
  const code = entry.codes[index.slice(5)];
  return `${code.kind} ${code.value}`;
}

function reveal(list, item) {
  const scroller = list.closest(".panel") ?? list;
  const top = item.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
  const hidden = top < 0 || top + item.offsetHeight > scroller.clientHeight;
  if (hidden) scroller.scrollTop += top - (scroller.clientHeight - item.offsetHeight) / 2;
}

function pointAt(event) {
  const root = event.target.closest(".card, #detail-content");
  if (!root) return;
  if (root.matches(".card")) overlayOn(root.querySelector(".frame"), root.entry);
  const index = event.target.closest("[data-line]")?.dataset.line ?? null;
  pick(root, index);
  // In a zoomed image the box of a line may be out of sight.
  if (index !== null && event.target.closest(".panel")) root.querySelector(`polygon[data-line="${index}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

for (const area of [grid, $("detail-content")]) {
  area.addEventListener("pointerover", pointAt);
  area.addEventListener("pointerout", (event) => {
    const root = event.target.closest(".card, #detail-content");
    if (root && !root.contains(event.relatedTarget)) pick(root, null);
  });
}
grid.addEventListener("focusin", pointAt);
