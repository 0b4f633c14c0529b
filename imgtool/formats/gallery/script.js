"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const grid = $("grid");
  const gallery = $("gallery");
  const detail = $("detail");
  const numbers = new Intl.NumberFormat("en");
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // ---- Elements. What comes from a result enters the page as a text node or an attribute value, never as markup.

  function el(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  function svg(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function button(className, label, onClick) {
    const node = el("button", className, label);
    node.type = "button";
    node.addEventListener("click", onClick);
    return node;
  }

  // ---- Words for numbers. A number that could not be computed is null.

  const percent = (share) => (share === null ? "\u2013" : `${Math.round(share * 100)}%`);
  const plural = (count, one, many) => `${numbers.format(count)} ${count === 1 ? one : many}`;
  const seconds = (value) => (value === null ? "\u2013" : value >= 100 ? `${numbers.format(Math.round(value))} s` : `${Number(value.toPrecision(3))} s`);

  function bytes(size) {
    const units = ["B", "kB", "MB", "GB"];
    let step = 0;
    while (size >= 999.5 && step < units.length - 1) { size /= 1000; step += 1; }
    return `${step && size < 10 ? size.toFixed(1) : numbers.format(Math.round(size))} ${units[step]}`;
  }

  // ---- Entries: a result with what filtering and sorting ask of it.

  // Hangul of a file name may be stored in pieces (macOS); full-width letters are letters.
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const STATUS_RANK = { failed: 0, partial: 1, ok: 2 };
  const TASKS = ["caption", "text", "labels", "codes"];

  const entries = [];
  let order = [];

  function entryOf(result, thumbnail) {
    const tasks = TASKS.flatMap((task) => (result.tasks[task] ? [[task, result.tasks[task]]] : []));
    const value = (task) => result.tasks[task]?.value ?? null;
    const parts = result.path.split("/");
    const base = parts.pop() || result.path;
    const entry = {
      result, thumbnail, tasks,
      index: entries.length,
      name: result.pages > 1 ? `${base} (page ${result.page + 1} of ${result.pages})` : base,
      caption: value("caption"),
      lines: value("text"),
      allLabels: value("labels"),
      codes: value("codes"),
      problems: problemsOf(result, tasks),
      seconds: tasks.reduce((sum, [, answer]) => sum + (answer.seconds ?? 0), 0),
    };
    // A classifier gives every image some share of every class: only what it means counts when filtering.
    entry.labels = (entry.allLabels ?? []).filter((label, place) => place === 0 || label.score >= 0.25);
    entry.text = fold([
      result.path, entry.name, entry.caption ?? "", ...entry.labels.map((label) => label.label),
      ...(entry.lines ?? []).map((line) => line.text), ...(entry.codes ?? []).flatMap((code) => [code.kind, code.value, digitsOf(code)]),
      ...entry.problems.map((problem) => problem.message),
    ].join("\n"));
    return entry;
  }

  const digitsOf = (code) => `${code.normalised ?? ""}${code.national ?? ""}`;

  // The same cause often fails every task of an image: it is said once.
  function problemsOf(result, tasks) {
    const found = tasks.flatMap(([task, answer]) => (answer.error ? [{ task, ...answer.error }] : []));
    if (result.error) found.unshift({ task: null, ...result.error });
    const seen = new Set();
    return found.filter((problem) => !seen.has(problem.message) && seen.add(problem.message));
  }

  // ---- Filter and order.

  const query = { words: [], status: "all", labels: new Set(), sort: "given", reverse: false };
  const ORDERS = {
    given: (a, b) => a.index - b.index,
    name: (a, b) => collator.compare(a.name, b.name),
    size: (a, b) => (b.result.file_size ?? -1) - (a.result.file_size ?? -1),
    time: (a, b) => b.seconds - a.seconds,
    lines: (a, b) => (b.lines?.length ?? -1) - (a.lines?.length ?? -1),
    status: (a, b) => STATUS_RANK[a.result.status] - STATUS_RANK[b.result.status],
  };

  function matches(entry) {
    if (query.status !== "all" && entry.result.status !== query.status) return false;
    if (query.labels.size && !entry.labels.some((label) => query.labels.has(label.label))) return false;
    return query.words.every((word) => entry.text.includes(word));
  }

  function arrange() {
    order = entries.filter(matches);
    if (query.sort !== "given") order.sort(ORDERS[query.sort]);
    if (query.reverse) order.reverse();
    $("count").textContent = order.length === entries.length
      ? numbers.format(entries.length)
      : `${numbers.format(order.length)} of ${numbers.format(entries.length)}`;
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

  // ---- The window: cards exist for the rows in view and a screen around them.

  const cards = new Map();
  let printing = false;

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

  let geometry = null;
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
    for (const [entry, card] of cards) {
      if (!wanted.has(entry)) { card.remove(); cards.delete(entry); }
    }
    let next = grid.firstElementChild;
    let position = from;
    for (const entry of wanted) {
      let card = cards.get(entry);
      if (!card) cards.set(entry, (card = cardOf(entry)));
      if ("stale" in card.dataset) renew(card, entry);
      position += 1;
      card.ariaPosInSet = position;
      card.ariaSetSize = order.length;
      // A card that is where it belongs is left alone: moving it would take the focus off it.
      if (card === next) next = next.nextElementSibling;
      else grid.insertBefore(card, next);
    }
  }

  // ---- Cards.

  const ICONS = {
    broken: "M2.5 3.5h11v9h-11zM2.5 10.5l3-3 2.5 2.5M13.5 9l-2-1.5-1.5 1.5M6.5 3.5 9 6.5 7.5 8.5 9 12.5",
    plain: "M2.5 3.5h11v9h-11zM2.5 11l3.5-3.5 3 3 1.5-1.5 3 3M10.5 6.2h.01",
  };

  function frameOf(entry, tag) {
    const { result, thumbnail } = entry;
    const frame = el(tag, "frame");
    const data = thumbnail.textContent;
    if (data) {
      const image = el("img");
      image.alt = "";
      image.decoding = "async";
      image.src = `data:image/jpeg;base64,${data}`;
      frame.append(image);
    } else {
      const failed = result.status === "failed";
      const icon = svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: failed ? ICONS.broken : ICONS.plain }));
      frame.append(el("span", "nothing", icon, failed ? "Not readable" : "No preview"));
    }
    return frame;
  }

  function overlayOn(frame, entry) {
    const { width, height } = entry.result;
    if (frame.querySelector(".boxes") || !(entry.lines?.length || entry.codes?.length) || !width || !height) return;
    const boxes = svg("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const outline = ({ box }, of) => {
      if (!box.flat().every(Number.isFinite)) return;
      boxes.append(svg("polygon", { points: box.map((point) => point.join(",")).join(" "), ...of }));
    };
    (entry.lines ?? []).forEach((line, index) => outline(line, { "data-line": index }));
    (entry.codes ?? []).forEach((code, index) => outline(code, { "data-line": `code-${index}`, class: "code" }));
    frame.append(boxes, el("span", "said"));
  }

  function cardOf(entry) {
    const card = el("li", "card");
    card.dataset.index = entry.index;
    const frame = frameOf(entry, "button");
    frame.type = "button";
    frame.ariaLabel = `${entry.name}: show details`;
    frame.ariaHasPopup = "dialog";
    frame.addEventListener("click", () => open(order.indexOf(entry)));
    const { status } = entry.result;
    if (status !== "ok") frame.append(el("span", `badge ${status}`, status === "failed" ? "Failed" : "Partial"));
    card.append(frame, bodyOf(entry));
    scrollToMatch(card, entry);
    return card;
  }

  function renew(card, entry) {
    delete card.dataset.stale;
    card.querySelector(".body").replaceWith(bodyOf(entry));
    requestAnimationFrame(() => scrollToMatch(card, entry));
  }

  function bodyOf(entry) {
    const { result } = entry;
    const name = el("div", "name", ...marked(entry.name));
    name.title = result.path;
    const facts = [
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
    if (tasks.labels && !tasks.labels.error) parts.push(el("div", "tags", ...(entry.allLabels ?? []).slice(0, 3).map(tagOf)));
    if (tasks.labels?.error) parts.push(problemBlock({ task: "labels", ...tasks.labels.error }, "partial"));
    if (tasks.codes?.error) parts.push(problemBlock({ task: "codes", ...tasks.codes.error }, "partial"));
    else if (tasks.codes) parts.push(el("div", "tags", ...(entry.codes ?? []).slice(0, 3).map(codeTagOf)));
    if (tasks.text?.error) parts.push(problemBlock({ task: "text", ...tasks.text.error }, "partial"));
    else if (tasks.text) parts.push(entry.lines?.length ? excerptOf(entry) : el("div", "none", "No text found"));
    return parts;
  }

  function clamped(block) {
    block.classList.add("caption");
    block.title = block.textContent;
    return block;
  }

  const tagOf = (label) => el("span", "tag", ...marked(label.label), el("b", "", percent(label.score)));

  function codeTagOf(code, index) {
    const tag = el("span", "tag", ...marked(code.value), el("b", "", code.kind));
    tag.dataset.line = `code-${index}`;
    return tag;
  }

  // Long documents are read in the detail view; a card needs what a filter could have matched.
  const EXCERPT = 120;

  function excerptOf(entry) {
    return el("ol", "text", ...entry.lines.slice(0, EXCERPT).map((line, index) => {
      const item = el("li", "", ...marked(line.text));
      item.dataset.line = index;
      return item;
    }));
  }

  function scrollToMatch(card, entry) {
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
    if (root.matches(".card")) {
      root.entry = entries[root.dataset.index];
      overlayOn(root.querySelector(".frame"), root.entry);
    }
    pick(root, event.target.closest("[data-line]")?.dataset.line ?? null);
  }

  for (const area of [grid, $("detail-content")]) {
    area.addEventListener("pointerover", pointAt);
    area.addEventListener("pointerout", (event) => {
      const root = event.target.closest(".card, #detail-content");
      if (root && !root.contains(event.relatedTarget)) pick(root, null);
    });
  }
  grid.addEventListener("focusin", pointAt);

  // ---- Detail view.

  let shown = -1;

  function open(position) {
    const entry = order[position];
    if (!entry) return;
    shown = position;
    const content = $("detail-content");
    content.entry = entry;
    content.replaceChildren(stageOf(entry), panelOf(entry));
    content.scrollTop = 0;
    $("position").textContent = `${numbers.format(position + 1)} of ${numbers.format(order.length)}`;
    $("previous").disabled = position === 0;
    $("next").disabled = position === order.length - 1;
    const stepping = detail.open && document.activeElement?.matches(".detail-bar button:enabled");
    if (!detail.open) detail.showModal();
    // With the focus on the panel the up and down keys scroll it.
    if (!stepping) content.lastElementChild.focus({ preventScroll: true });
  }

  function stageOf(entry) {
    const frame = frameOf(entry, "div");
    const { width, height } = entry.result;
    // An icon of 16 pixels is not blown up to the size of a screen.
    if (width && height) {
      frame.style.maxWidth = `${Math.max(width, 320)}px`;
      frame.style.maxHeight = `${Math.max(height, 320)}px`;
    }
    overlayOn(frame, entry);
    return el("div", "stage", frame);
  }

  function panelOf(entry) {
    const { result } = entry;
    const name = el("h2", "", entry.name);
    name.id = "detail-name";
    const panel = el("div", "panel", name, el("p", "path", result.path));
    panel.tabIndex = 0;
    for (const problem of entry.problems) {
      const block = problemBlock(problem, result.status === "failed" ? "failed" : "partial");
      block.classList.add("callout");
      panel.append(block);
    }
    if (entry.caption !== null) panel.append(section("Caption", result.tasks.caption, el("div", "caption", entry.caption)));
    if (entry.allLabels) panel.append(section("Labels", result.tasks.labels, barsOf(entry.allLabels)));
    if (entry.codes) panel.append(section("Codes", result.tasks.codes, codesOf(entry.codes)));
    if (entry.lines) panel.append(textSection(entry));
    panel.append(section("Image", null, tableOf(factsOf(entry))));
    panel.append(el("details", "", el("summary", "", "Result as JSON"), el("pre", "", JSON.stringify(result, null, 2))));
    return panel;
  }

  function section(title, answer, ...content) {
    const block = el("section", "", el("h3", "", title), ...content);
    if (answer) block.append(el("p", "by", provenance(answer)));
    if (answer?.notice) block.append(el("p", "by", answer.notice));
    return block;
  }

  const provenance = (answer) => [
    engineOf(answer), `${answer.model} ${answer.model_version}`.trim(), answer.backend, seconds(answer.seconds), answer.from_cache ? "from cache" : "",
  ].filter(Boolean).join(" \u00b7 ");

  function textSection(entry) {
    const list = el("ol", "text", ...entry.lines.map((line, index) => {
      const unsure = line.confidence !== null && line.confidence < 0.6;
      const item = el("li", "", el("span", "", line.text), el("span", unsure ? "unsure" : "", percent(line.confidence)));
      item.dataset.line = index;
      return item;
    }));
    if (!entry.lines.length) return section("Text", entry.result.tasks.text, el("p", "none", "No text found"));
    const block = section(`Text \u00b7 ${plural(entry.lines.length, "line", "lines")}`, entry.result.tasks.text, list);
    if (navigator.clipboard) {
      block.firstElementChild.append(button("", "Copy", async (event) => {
        const text = entry.lines.map((line) => line.text).join("\n");
        const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
        event.target.textContent = copied ? "Copied" : "Not allowed";
      }));
    }
    return block;
  }

  function codesOf(codes) {
    if (!codes.length) return el("p", "none", "No codes found");
    return el("ol", "text codes", ...codes.map((code, index) => {
      const about = [code.kind, code.chapter ? `${code.chapter.number} ${code.chapter.english}, ${code.chapter.korean}` : "", code.edition ?? ""];
      const links = code.links.filter((link) => /^https?:\/\//i.test(link)).map((link) => {
        const anchor = el("a", "", new URL(link).hostname);
        Object.assign(anchor, { href: link, target: "_blank", rel: "noopener noreferrer" });
        return anchor;
      });
      const item = el("li", "", el("span", "", code.value, el("small", "", about.filter(Boolean).join(" \u00b7 "), ...links)),
        el("span", code.confidence < 0.8 ? "unsure" : "", percent(code.confidence)));
      item.title = code.evidence.join("\n");
      item.dataset.line = `code-${index}`;
      return item;
    }));
  }

  function barsOf(labels) {
    return el("dl", "bars", ...labels.flatMap((label) => {
      const fill = el("i");
      fill.style.width = `${100 * Math.min(1, label.score ?? 0)}%`;
      return [el("dt", "", label.label), el("dd", "bar", fill), el("dd", "", percent(label.score))];
    }));
  }

  function factsOf({ result, seconds: computed }) {
    return [
      ["Status", result.status],
      ["Format", result.format],
      ["Size", result.width && result.height ? `${numbers.format(result.width)} \u00d7 ${numbers.format(result.height)} px` : null],
      ["File size", result.file_size === null ? null : `${bytes(result.file_size)} (${numbers.format(result.file_size)} bytes)`],
      ["SHA-256", result.sha256],
      ["Computed in", seconds(computed)],
      ["This run", seconds(result.processing_time_ms === null ? null : result.processing_time_ms / 1000)],
      ["From cache", result.from_cache ? "yes" : "no"],
    ];
  }

  const tableOf = (rows) => el("dl", "table", ...rows.filter(([, value]) => value !== null)
    .flatMap(([name, value]) => [el("dt", "", name), el("dd", "", value)]));

  function step(by) {
    if (shown + by >= 0 && shown + by < order.length) open(shown + by);
  }

  // Back in the gallery, the focus is on the image that was looked at last.
  function returnToCard() {
    const entry = order[shown];
    shown = -1;
    $("detail-content").replaceChildren();
    if (!entry || !geometry) return;
    const top = Math.floor(order.indexOf(entry) / geometry.columns) * geometry.row + gallery.getBoundingClientRect().top;
    const bar = barHeight();
    if (top < bar || top + geometry.row > innerHeight) window.scrollBy(0, top - bar - 18);
    place(false);
    cards.get(entry)?.querySelector(".frame").focus({ preventScroll: true });
  }

  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => detail.close());
  detail.addEventListener("close", returnToCard);
  detail.addEventListener("click", (event) => { if (event.target === detail) detail.close(); });
  document.addEventListener("keydown", (event) => {
    if (!detail.open || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else return;
    event.preventDefault();
  });

  // ---- Controls.

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
  $("labels").addEventListener("click", (event) => {
    const chip = event.target.closest("button");
    if (!chip) return;
    const on = query.labels.delete(chip.dataset.label) ? false : Boolean(query.labels.add(chip.dataset.label));
    chip.ariaPressed = String(on);
    arrangeSoon();
  });
  $("clear").addEventListener("click", () => {
    Object.assign(query, { words: [], status: "all" });
    query.labels.clear();
    $("filter").value = "";
    document.querySelector('[name="status"][value="all"]').checked = true;
    for (const chip of $("labels").children) chip.ariaPressed = "false";
    arrangeSoon();
    $("filter").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || detail.open || event.target.matches("input[type=search], select")) return;
    event.preventDefault();
    $("filter").focus();
  });

  let scrolled = 0;
  addEventListener("scroll", () => {
    cancelAnimationFrame(scrolled);
    scrolled = requestAnimationFrame(() => place(false));
  }, { passive: true });
  addEventListener("resize", () => place(true));
  addEventListener("beforeprint", () => { printing = true; place(true); });
  addEventListener("afterprint", () => { printing = false; place(true); });

  // ---- Header and chips.

  const CHIPS = 12;

  function count() {
    const statuses = { ok: 0, partial: 0, failed: 0 };
    const labels = new Map();
    for (const entry of entries) {
      statuses[entry.result.status] += 1;
      for (const { label } of entry.labels) labels.set(label, (labels.get(label) ?? 0) + 1);
    }
    for (const [status, number] of Object.entries(statuses)) {
      const input = document.querySelector(`[name="status"][value="${status}"]`);
      input.disabled = number === 0;
      input.nextElementSibling.firstElementChild.textContent = numbers.format(number);
    }
    const commonest = [...labels].sort((a, b) => b[1] - a[1] || collator.compare(a[0], b[0])).slice(0, CHIPS);
    $("labels").hidden = commonest.length < 2;
    $("labels").replaceChildren(...commonest.map(([label, number]) => {
      const chip = el("button", "", label, el("b", "", numbers.format(number)));
      chip.type = "button";
      chip.dataset.label = label;
      chip.title = label;
      chip.ariaPressed = String(query.labels.has(label));
      return chip;
    }));
  }

  function summarise(summary) {
    const known = (name) => typeof summary[name] === "number";
    const item = (name, title, words, kind = "") => (known(name) && (kind === "" || summary[name] > 0)
      ? [el("div", kind, el("dt", "", title), el("dd", "", words(summary[name])))] : []);
    const whole = (value) => numbers.format(value);
    $("summary").replaceChildren(
      ...item("images", "images", whole),
      ...item("answered", "answered", whole),
      ...item("partial", "partial", whole, "warn"),
      ...item("failed", "failed", whole, "bad"),
      ...item("hit_rate_percent", "from cache", (value) => `${Number(value.toPrecision(3))}%`),
      ...item("wall_seconds", "wall time", seconds),
      ...item("images_per_second", "images/s", (value) => (value >= 100 ? whole(Math.round(value)) : String(Number(value.toPrecision(3))))),
    );
  }

  // How tall a card is follows from the tasks that were asked in this gallery.
  function fitCards() {
    const asked = (task) => entries.some((entry) => entry.result.tasks[task]);
    const parts = [23, 19, 23, asked("caption") ? 48 : 0, asked("labels") ? 31 : 0, asked("codes") ? 31 : 0, asked("text") ? 92 : 0];
    const troubled = entries.some((entry) => entry.problems.length);
    const height = Math.max(parts.reduce((sum, part) => sum + part, 18), troubled ? 164 : 0);
    grid.style.setProperty("--body", `${height / 16}rem`);
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
      entries.push(entryOf(JSON.parse(facts.textContent), thumbnail));
      block = thumbnail;
    }
    if (entries.length === before && !complete) return;
    count();
    fitCards();
    arrange();
  }

  const arriving = setInterval(() => ingest(false), 120);
  document.addEventListener("DOMContentLoaded", () => {
    clearInterval(arriving);
    summarise(JSON.parse($("summary-data").textContent));
    document.documentElement.dataset.state = "ready";
    ingest(true);
    performance.mark("gallery-ready");
  });
})();
