// What a person sets, the figures at the top, and the data as it comes in.

$("filter").addEventListener("input", (event) => {
  query.words = fold(event.target.value).split(/\s+/).filter(Boolean);
  arrangeSoon();
});
$("status").addEventListener("change", (event) => {
  query.status = event.target.value;
  arrangeSoon();
});
$("sort").addEventListener("change", (event) => {
  query.sort = event.target.value;
  arrangeSoon();
});
$("reverse").addEventListener("click", (event) => {
  query.reverse = !query.reverse;
  event.currentTarget.ariaPressed = String(query.reverse);
  arrangeSoon();
});
$("clear").addEventListener("click", () => {
  Object.assign(query, { words: [], status: "all" });
  query.labels.clear();
  query.codes.clear();
  $("filter").value = "";
  document.querySelector('[name="status"][value="all"]').checked = true;
  drawChips();
  arrangeSoon();
  $("filter").focus();
});

// ---- Keys outside of the detail view, which has its own.

const STEPS = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: () => geometry.columns, ArrowUp: () => -geometry.columns };

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input[type=search], select")) return;
  if (event.key === "?") {
    event.preventDefault();
    if (!$("keys").open) $("keys").showModal();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    $("filter").focus();
  }
  const card = event.target.closest(".card");
  if (!card || !geometry) return;
  const at = order.indexOf(card.entry.document);
  const to = { Home: 0, End: order.length - 1 }[event.key] ?? (STEPS[event.key] ? at + STEPS[event.key]() : -1);
  if (!order[to]) return;
  event.preventDefault();
  focusCard(order[to]);
});
$("help").addEventListener("click", () => $("keys").showModal());
$("keys").addEventListener("click", (event) => { if (event.target === $("keys") || event.target.closest("button")) $("keys").close(); });

let scrolled = 0;
addEventListener("scroll", () => {
  cancelAnimationFrame(scrolled);
  scrolled = requestAnimationFrame(() => place(false));
}, { passive: true });
addEventListener("resize", () => place(true));
addEventListener("beforeprint", () => { printing = !detail.open; place(true); });
addEventListener("afterprint", () => { printing = false; place(true); });

// ---- Header and chips.

const CHIPS = 12;
const counted = { labels: [], codes: [] };

function count() {
  const statuses = { ok: 0, partial: 0, failed: 0 };
  const labels = new Map();
  const codes = new Map();
  const more = (counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const entry of entries) {
    statuses[entry.result.status] += 1;
    for (const label of entry.sureLabels) more(labels, label);
    for (const kind of new Set((entry.codes ?? []).map((code) => code.kind))) more(codes, kind);
  }
  for (const [status, number] of Object.entries(statuses)) {
    const input = document.querySelector(`[name="status"][value="${status}"]`);
    input.disabled = number === 0;
    input.nextElementSibling.firstElementChild.textContent = numbers.format(number);
  }
  const commonest = (counts) => [...counts].sort((a, b) => b[1] - a[1] || collator.compare(a[0], b[0])).slice(0, CHIPS);
  counted.labels = commonest(labels);
  counted.codes = commonest(codes);
  drawChips();
}

// The commonest labels and kinds of codes, and whatever else is chosen.
function drawChips() {
  const focused = document.activeElement?.closest(".chips button")?.dataset.key;
  for (const name of ["labels", "codes"]) {
    const chosen = query[name];
    const listed = new Set(counted[name].map(([key]) => key));
    const chips = [...[...chosen].filter((key) => !listed.has(key)).map((key) => [key, null]), ...counted[name]];
    $(name).hidden = chips.length < (name === "labels" ? 2 : 1);
    $(name).replaceChildren(...chips.map(([key, number]) => {
      const chip = button("", key, () => toggleFilter(chosen, key));
      if (number !== null) chip.append(el("b", "", numbers.format(number)));
      chip.dataset.key = key;
      chip.title = key;
      chip.ariaPressed = String(chosen.has(key));
      if (key === focused) queueMicrotask(() => chip.focus());
      return chip;
    }));
  }
}

function toggleFilter(chosen, key) {
  if (!chosen.delete(key)) chosen.add(key);
  drawChips();
  arrangeSoon();
}

function summarise(summary) {
  const known = (name) => typeof summary[name] === "number";
  const item = (name, title, words, kind = "") => (known(name) && (kind === "" || summary[name] > 0)
    ? [el("div", kind, el("dt", "", title), el("dd", "", words(summary[name])))] : []);
  const whole = (value) => numbers.format(value);
  const files = documents.length < entries.length ? [el("div", "", el("dt", "", "files"), el("dd", "", whole(documents.length)))] : [];
  $("summary").replaceChildren(
    ...files,
    ...item("images", files.length ? "images and pages" : "images", whole),
    ...item("answered", "answered", whole),
    ...item("partial", "partial", whole, "warn"),
    ...item("failed", "failed", whole, "bad"),
    ...item("hit_rate_percent", "from cache", (value) => `${Math.round(value)}%`),
    ...item("wall_seconds", "wall time", duration),
    ...item("images_per_second", "images/s", (value) => (value >= 100 ? whole(Math.round(value)) : String(Number(value.toPrecision(2))))),
  );
}

// ---- Data. Blocks are read while the rest of the file is still coming in.

let block = null;

function ingest(complete) {
  const before = entries.length;
  for (;;) {
    const facts = block ? block.nextElementSibling : $("data")?.firstElementChild;
    const thumbnail = facts?.nextElementSibling;
    // What is last may be there in part only.
    if (!thumbnail || !(complete || thumbnail.nextElementSibling)) break;
    addEntry(JSON.parse(facts.textContent), thumbnail);
    block = thumbnail;
  }
  if (entries.length === before && !complete) return;
  count();
  fitCards();
  arrange();
  if (!before) performance.mark("gallery-first");
}

const arriving = setInterval(() => ingest(false), 120);
document.addEventListener("DOMContentLoaded", () => {
  clearInterval(arriving);
  document.documentElement.dataset.state = "ready";
  ingest(true);
  summarise(JSON.parse($("summary-data").textContent));
  performance.mark("gallery-ready");
});
