// Elements, and words for numbers. What comes from a result enters the page as a text node or an attribute value, never
// as markup.

const $ = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

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

// A number that could not be computed is null.
const percent = (share) => (share === null ? "\u2013" : `${Math.round(share * 100)}%`);
const plural = (count, one, many) => `${numbers.format(count)} ${count === 1 ? one : many}`;

// "9 ms", "1.2 s", "12.5 s", "2 min 5 s", "1 h 20 min"
function duration(seconds) {
  if (seconds === null) return "\u2013";
  const thousandths = Math.round(seconds * 1000);
  if (thousandths < 1) return seconds > 0 ? "under 1 ms" : "0 ms";
  if (thousandths < 1000) return `${thousandths} ms`;
  if (seconds < 99.95) return `${Number(seconds.toFixed(1))} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${numbers.format(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

function bytes(size) {
  const units = ["B", "kB", "MB", "GB"];
  let step = 0;
  while (size >= 999.5 && step < units.length - 1) { size /= 1000; step += 1; }
  return `${step && size < 10 ? size.toFixed(1) : numbers.format(Math.round(size))} ${units[step]}`;
}

// Hangul of a file name may be stored in pieces (macOS); full-width letters are letters.
const fold = (text) => text.normalize("NFKC").toLowerCase();

// Whether text is in the clipboard now. A page from another machine without TLS has no navigator.clipboard.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", "unseen");
    area.value = text;
    const focused = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus({ preventScroll: true });
    return done;
  }
}
