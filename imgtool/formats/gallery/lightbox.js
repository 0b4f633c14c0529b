// The detail view: the original with its boxes, the pages of its document, and everything that was answered.

const detail = $("detail");
const content = $("detail-content");
const FIT = 0;
const ZOOMS = [1, 2, 4];
// What every browser shows. Others are tried, and where that fails it is the format's fault.
const COMMON = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", "ICO"];
// Somebody who holds an arrow key down does not want every image on the way.
const PATIENCE = 60;

// `zoom` is FIT or pixels of the screen for one of the image; `whole` says that the original is shown.
const view = { entry: null, zoom: FIT, scale: 1, fit: 1, boxes: true, whole: false, waiting: 0 };

function openEntry(entry) {
  if (!entry) return;
  clearTimeout(view.waiting);
  Object.assign(view, { entry, zoom: FIT, whole: false });
  content.entry = entry;
  content.replaceChildren(stageOf(entry), panelOf(entry));
  content.scrollTop = 0;
  const at = `${numbers.format(order.indexOf(entry.document) + 1)} of ${numbers.format(order.length)}`;
  $("position").textContent = entry.result.pages > 1 ? `${at} \u00b7 page ${entry.result.page + 1} of ${numbers.format(entry.result.pages)}` : at;
  $("previous").disabled = neighbour(entry, -1) === null;
  $("next").disabled = neighbour(entry, 1) === null;
  const stepping = detail.open && document.activeElement?.matches(".detail-bar button:enabled");
  if (!detail.open) detail.showModal();
  layOut();
  content.querySelector(".strip [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  // With the focus on the panel the up and down keys scroll it.
  if (!stepping) content.lastElementChild.focus({ preventScroll: true });
  view.waiting = setTimeout(() => showOriginal(entry), PATIENCE);
}

// ---- The image.

function stageOf(entry) {
  const frame = el("div", "frame", thumbnailOf(entry));
  const canvas = el("div", "canvas", frame);
  const note = el("p", "note");
  note.hidden = true;
  const tools = el("div", "tools");
  const boxes = button("", "Boxes", toggleBoxes);
  boxes.id = "boxes";
  boxes.ariaPressed = String(view.boxes);
  boxes.title = "Show or hide the boxes (b)";
  boxes.hidden = !(entry.lines?.length || entry.codes?.length);
  const zoom = button("", "", () => zoomTo(view.zoom === FIT ? 1 : FIT));
  zoom.id = "zoom";
  tools.append(note, boxes, zoom);
  if (entry.link) {
    const link = el("a", "", "Open original");
    const page = entry.result.format === "PDF" ? `#page=${entry.result.page + 1}` : "";
    Object.assign(link, { id: "original", href: entry.link + page, target: "_blank", rel: "noopener noreferrer", title: "Open the file in a tab of its own (o)" });
    tools.append(link);
  }
  const stage = el("div", "stage", canvas, tools);
  overlayOn(frame, entry);
  stage.classList.toggle("bare", !view.boxes);
  if (entry.document.entries.length > 1) stage.append(stripOf(entry));
  canvas.addEventListener("pointerdown", pan);
  return stage;
}

// The pages of the document; those that the filters leave out are pale.
function stripOf(entry) {
  const strip = el("div", "strip");
  strip.role = "group";
  strip.ariaLabel = "Pages";
  for (const each of entry.document.entries) {
    const picture = thumbnailOf(each);
    if (picture.matches("img")) picture.loading = "lazy";
    const page = button(entry.document.matching.includes(each) ? "" : "pale", picture, () => openEntry(each));
    page.ariaLabel = `Page ${each.result.page + 1}`;
    if (each === entry) page.ariaCurrent = "true";
    page.append(el("span", "", numbers.format(each.result.page + 1)));
    strip.append(page);
  }
  return strip;
}

const sizeOf = ({ result }, image) => [result.width ?? image?.naturalWidth ?? 0, result.height ?? image?.naturalHeight ?? 0];

// Size the image for its place or for the zoom chosen. The boxes are drawn over the same frame, in pixels of the image.
function layOut() {
  const frame = content.querySelector(".stage .frame");
  if (!frame) return;
  const canvas = frame.parentElement;
  const image = frame.querySelector("img");
  const [width, height] = sizeOf(view.entry, image);
  const zoom = $("zoom");
  zoom.hidden = !view.whole;
  if (!image || !width || !height) {
    frame.style.width = frame.style.height = "100%";
    return;
  }
  // An icon of 16 pixels is not blown up to the size of a screen.
  const largest = view.whole ? Math.max(1, 320 / Math.max(width, height)) : Infinity;
  view.fit = Math.min(canvas.clientWidth / width, canvas.clientHeight / height, largest);
  view.scale = view.zoom === FIT ? view.fit : view.zoom;
  frame.style.width = `${width * view.scale}px`;
  frame.style.height = `${height * view.scale}px`;
  canvas.classList.toggle("zoomed", width * view.scale > canvas.clientWidth + 1 || height * view.scale > canvas.clientHeight + 1);
  zoom.textContent = view.zoom === FIT ? "Full size" : "Fit";
  zoom.title = view.zoom === FIT ? `Now ${percent(view.fit)} of full size (1)` : `Now ${percent(view.scale)} (0)`;
}

// Zoom, with the point at `x`, `y` (shares of the image) in the middle.
function zoomTo(zoom, x = 0.5, y = 0.5) {
  if (!view.whole) return;
  view.zoom = zoom;
  layOut();
  const canvas = content.querySelector(".canvas");
  canvas.scrollLeft = x * canvas.scrollWidth - canvas.clientWidth / 2;
  canvas.scrollTop = y * canvas.scrollHeight - canvas.clientHeight / 2;
}

function zoomBy(direction) {
  if (direction > 0) zoomTo(ZOOMS.find((zoom) => zoom > view.scale + 0.01) ?? view.zoom);
  else zoomTo(ZOOMS.findLast((zoom) => zoom < view.scale - 0.01 && zoom > view.fit) ?? FIT);
}

// Drag to move a zoomed image; a click without a drag zooms.
function pan(down) {
  const canvas = down.currentTarget;
  if (down.button !== 0 || !view.whole) return;
  const start = { x: down.clientX, y: down.clientY, left: canvas.scrollLeft, top: canvas.scrollTop };
  let dragged = false;
  const move = (event) => {
    const dx = event.clientX - start.x;
    const dy = event.clientY - start.y;
    dragged ||= Math.hypot(dx, dy) > 4;
    if (dragged && down.pointerType === "mouse") canvas.scrollTo(start.left - dx, start.top - dy);
  };
  const up = (event) => {
    canvas.removeEventListener("pointermove", move);
    if (event.type !== "pointerup" || dragged || !event.target.closest(".frame")) return;
    const { left, top, width, height } = canvas.firstElementChild.getBoundingClientRect();
    zoomTo(view.zoom === FIT ? 1 : FIT, (event.clientX - left) / width, (event.clientY - top) / height);
  };
  down.preventDefault();
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up, { once: true });
  canvas.addEventListener("pointerleave", up, { once: true });
}

function toggleBoxes() {
  view.boxes = !view.boxes;
  $("boxes").ariaPressed = String(view.boxes);
  content.querySelector(".stage").classList.toggle("bare", !view.boxes);
}

// Put the original in the place of the thumbnail, or say why that cannot be.
async function showOriginal(entry) {
  const { result, link } = entry;
  const format = result.format ?? "";
  if (!link) return explain(entry, "The original has no address: this is its thumbnail.");
  if (result.page > 0 || format === "PDF") return explain(entry, `A browser cannot show a page of ${format === "PDF" ? "a PDF" : `this ${format}`} here: this is its thumbnail.`);
  if ("keptBack" in entry.thumbnail.dataset) return explain(entry, "A browser does not turn a WebP as its EXIF data may ask for: this is the thumbnail.");
  const image = el("img");
  image.alt = "";
  image.src = link;
  try {
    await image.decode();
  } catch {
    const why = COMMON.includes(format) || !format ? "The original is not there any more, or cannot be read" : `This browser cannot show ${format} here`;
    return explain(entry, `${why}: this is the thumbnail.`);
  }
  if (view.entry !== entry || !detail.open) return;
  // Boxes are in pixels of the image as it is looked at: another size is another image, or one turned otherwise.
  const [width, height] = sizeOf(entry, image);
  if (image.naturalWidth !== width || image.naturalHeight !== height) {
    return explain(entry, `The original is now ${image.naturalWidth} \u00d7 ${image.naturalHeight} pixels, it was ${width} \u00d7 ${height}: this is the thumbnail.`);
  }
  content.querySelector(".stage .frame > :is(img, .nothing)").replaceWith(image);
  view.whole = true;
  layOut();
}

function explain(entry, text) {
  if (view.entry !== entry || !detail.open) return;
  const note = content.querySelector(".tools .note");
  note.textContent = entry.thumbnail.textContent ? text : text.replace(/: this is .*/, ".");
  note.hidden = false;
  layOut(); // the note takes room
}

// ---- The panel.

function panelOf(entry) {
  const { result } = entry;
  const name = el("h2", "", entry.title);
  name.id = "detail-name";
  const panel = el("div", "panel", name, el("p", "path", result.path));
  panel.tabIndex = 0;
  for (const problem of entry.problems) {
    const block = problemBlock(problem, result.status === "failed" ? "failed" : "partial");
    block.classList.add("callout");
    panel.append(block);
  }
  if (entry.caption !== null) panel.append(section("Caption", result.tasks.caption, el("div", "caption", entry.caption)));
  if (entry.labels) panel.append(section("Labels", result.tasks.labels, labelsOf(entry.labels)));
  if (entry.codes) panel.append(codesSection(entry));
  if (entry.lines) panel.append(textSection(entry));
  panel.append(section("Image", null, tableOf(factsOf(entry))));
  panel.append(el("details", "", el("summary", "", "Result as JSON"), el("pre", "", JSON.stringify(result, null, 2))));
  return panel;
}

function section(title, answer, ...parts) {
  const block = el("section", "", el("h3", "", title), ...parts);
  if (answer) block.append(el("p", "by", provenance(answer)));
  if (answer?.notice) block.append(el("p", "by", answer.notice));
  return block;
}

const provenance = (answer) => [
  engineOf(answer), `${answer.model} ${answer.model_version}`.trim(), answer.backend, duration(answer.seconds), answer.from_cache ? "from cache" : "",
].filter(Boolean).join(" \u00b7 ");

function withCopy(block, text, id) {
  const copy = button("copy", "Copy", async () => {
    copy.textContent = (await copied(text)) ? "Copied" : "Not allowed";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  copy.id = id;
  block.firstElementChild.append(copy);
  return block;
}

// What likely is no text of the image is there to be seen, and neither copied nor found.
function textSection(entry) {
  const answer = entry.result.tasks.text;
  if (!entry.lines.length) return section("Text", answer, el("p", "none", "No text found"));
  const list = el("ol", "text", ...entry.lines.map((line, index) => {
    const unsure = line.confidence !== null && line.confidence < 0.6;
    const item = el("li", line.doubt ? "doubtful" : "", el("span", "", line.text), el("span", unsure ? "unsure" : "", percent(line.confidence)));
    if (line.doubt) item.title = line.doubt;
    item.dataset.line = index;
    return item;
  }));
  const sure = sureLines(entry);
  const block = section(`Text \u00b7 ${plural(entry.lines.length, "line", "lines")}`, answer, list);
  return sure.length ? withCopy(block, sure.map((line) => line.text).join("\n"), "copy-text") : block;
}

function codesSection(entry) {
  const answer = entry.result.tasks.codes;
  if (!entry.codes.length) return section("Codes", answer, el("p", "none", "No codes found"));
  const list = el("ol", "text codes", ...entry.codes.map((code, index) => {
    const about = [code.kind, code.chapter ? `${code.chapter.number} ${code.chapter.english}, ${code.chapter.korean}` : "", code.edition ?? ""];
    const links = code.links.filter((link) => /^https?:\/\//i.test(link)).map((link) => {
      const anchor = el("a", "", new URL(link).hostname);
      Object.assign(anchor, { href: link, target: "_blank", rel: "noopener noreferrer" });
      return anchor;
    });
    const item = el("li", "", el("span", "", onlyThese(code.value, query.codes, keyOf(code)), el("small", "", about.filter(Boolean).join(" \u00b7 "), ...links)),
      el("span", code.confidence < 0.8 ? "unsure" : "", percent(code.confidence)));
    item.title = code.evidence.join("\n");
    item.dataset.line = `code-${index}`;
    return item;
  }));
  return withCopy(section("Codes", answer, list), entry.codes.map((code) => code.value).join("\n"), "copy-codes");
}

// A value that shows the images that have it too.
function onlyThese(text, chosen, key) {
  const link = button("only", text, () => {
    detail.close();
    if (!chosen.has(key)) toggleFilter(chosen, key);
  });
  link.title = `Show only images with ${key}`;
  return link;
}

function labelsOf(labels) {
  if (!labels.length) return el("p", "none", `No label reaches ${percent(SEEN_LABEL)}`);
  return el("dl", "bars", ...labels.flatMap((label) => {
    const share = el("i");
    share.style.width = `${100 * Math.min(1, label.score)}%`;
    return [el("dt", "", onlyThese(label.label, query.labels, label.label)), el("dd", "bar", share), el("dd", "", percent(label.score))];
  }));
}

function factsOf({ result, seconds }) {
  return [
    ["Status", result.status],
    ["Format", result.format],
    ["Page", result.pages > 1 ? `${result.page + 1} of ${numbers.format(result.pages)}` : null],
    ["Size", result.width && result.height ? `${numbers.format(result.width)} \u00d7 ${numbers.format(result.height)} px` : null],
    ["File size", result.file_size === null ? null : bytes(result.file_size)],
    ["Computed in", duration(seconds)],
    ["This run", duration(result.processing_time_ms === null ? null : result.processing_time_ms / 1000)],
    ["From cache", result.from_cache ? "yes" : "no"],
    ["SHA-256", result.sha256],
  ];
}

const tableOf = (rows) => el("dl", "table", ...rows.filter(([, value]) => value !== null)
  .flatMap(([name, value]) => [el("dt", "", name), el("dd", "", value)]));

// ---- Moving on.

const step = (by) => openEntry(neighbour(view.entry, by));

function stepDocument(by) {
  openEntry(order[order.indexOf(view.entry.document) + by]?.matching[0]);
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  "]": () => stepDocument(1),
  "[": () => stepDocument(-1),
  "+": () => zoomBy(1),
  "=": () => zoomBy(1),
  "-": () => zoomBy(-1),
  0: () => zoomTo(FIT),
  1: () => zoomTo(1),
  b: toggleBoxes,
  c: () => $("copy-text")?.click(),
  o: () => $("original")?.click(),
};

$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => detail.close());
detail.addEventListener("click", (event) => { if (event.target === detail) detail.close(); });
// Back in the gallery, the focus is on the image that was looked at last.
detail.addEventListener("close", () => {
  const { entry } = view;
  clearTimeout(view.waiting);
  view.entry = null;
  content.replaceChildren();
  if (entry) focusCard(entry.document);
});
detail.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
addEventListener("resize", layOut);
