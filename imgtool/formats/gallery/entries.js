// What the gallery holds: an entry an image or page, a document a file; and which of them the filters let through.

const STATUS_RANK = { failed: 0, partial: 1, ok: 2 };
const TASKS = ["caption", "text", "labels", "codes"];
// A classifier gives every class some share. Less than the first says nothing; a filter takes what reaches the second.
const SEEN_LABEL = 0.05;
const SURE_LABEL = 0.25;

const entries = [];
const documents = [];
const documentByPath = new Map();
// The documents that have an entry that matches, in the order chosen.
let order = [];

function addEntry(result, thumbnail) {
  const tasks = TASKS.flatMap((task) => (result.tasks[task] ? [[task, result.tasks[task]]] : []));
  const value = (task) => result.tasks[task]?.value ?? null;
  const name = result.path.split("/").pop() || result.path;
  const entry = {
    result, thumbnail, tasks, name,
    index: entries.length,
    link: thumbnail.dataset.original ?? null,
    title: result.pages > 1 ? `${name} \u00b7 page ${result.page + 1} of ${result.pages}` : name,
    caption: value("caption"),
    lines: value("text"),
    labels: value("labels")?.filter((label) => label.score >= SEEN_LABEL) ?? null,
    codes: value("codes"),
    problems: problemsOf(result, tasks),
    seconds: tasks.reduce((sum, [, answer]) => sum + (answer.seconds ?? 0), 0),
  };
  entry.sureLabels = (entry.labels ?? []).filter((label, place) => place === 0 || label.score >= SURE_LABEL).map(({ label }) => label);
  entry.codeKeys = (entry.codes ?? []).flatMap((code) => [code.kind, keyOf(code)]);
  entry.text = fold([
    result.path, result.pages > 1 ? `page ${result.page + 1}` : "", entry.caption ?? "", ...entry.sureLabels,
    ...sureLines(entry).map((line) => line.text), ...(entry.codes ?? []).flatMap((code) => [code.kind, code.value, digitsOf(code)]),
    ...entry.problems.map((problem) => problem.message),
  ].join("\n"));
  entries.push(entry);
  entry.document = documentOf(result);
  entry.document.entries.push(entry);
}

// The pages of one file belong together.
function documentOf({ path, pages }) {
  let found = pages > 1 ? documentByPath.get(path) : null;
  if (!found) {
    documents.push((found = { entries: [], matching: [], pages }));
    if (pages > 1) documentByPath.set(path, found);
  }
  return found;
}

const digitsOf = (code) => `${code.normalised ?? ""}${code.national ?? ""}`;
const keyOf = (code) => `${code.kind} ${code.value}`;
const sureLines = (entry) => (entry.lines ?? []).filter((line) => !line.doubt);

// The same cause often fails every task of an image: it is said once.
function problemsOf(result, tasks) {
  const found = tasks.flatMap(([task, answer]) => (answer.error ? [{ task, ...answer.error }] : []));
  if (result.error) found.unshift({ task: null, ...result.error });
  const seen = new Set();
  return found.filter((problem) => !seen.has(problem.message) && seen.add(problem.message));
}

// ---- Filter and order.

const query = { words: [], status: "all", labels: new Set(), codes: new Set(), sort: "given", reverse: false };
const total = (found, of) => found.matching.reduce((sum, entry) => sum + of(entry), 0);
const worst = (found) => Math.min(...found.matching.map((entry) => STATUS_RANK[entry.result.status]));
const ORDERS = {
  name: (a, b) => collator.compare(a.entries[0].name, b.entries[0].name),
  size: (a, b) => (b.entries[0].result.file_size ?? -1) - (a.entries[0].result.file_size ?? -1),
  time: (a, b) => total(b, (entry) => entry.seconds) - total(a, (entry) => entry.seconds),
  lines: (a, b) => total(b, (entry) => entry.lines?.length ?? -1) - total(a, (entry) => entry.lines?.length ?? -1),
  status: (a, b) => worst(a) - worst(b),
};

function matches(entry) {
  if (query.status !== "all" && entry.result.status !== query.status) return false;
  if (query.labels.size && !entry.sureLabels.some((label) => query.labels.has(label))) return false;
  if (query.codes.size && !entry.codeKeys.some((key) => query.codes.has(key))) return false;
  return query.words.every((word) => entry.text.includes(word));
}

// Fill `order`; how many entries match.
function select() {
  let count = 0;
  for (const each of documents) {
    each.matching = each.entries.filter(matches);
    count += each.matching.length;
  }
  order = documents.filter((each) => each.matching.length);
  if (query.sort !== "given") order.sort(ORDERS[query.sort]);
  if (query.reverse) order.reverse();
  return count;
}

// The entry before (-1) or after (1) `entry` among those that match; null at the ends. `entry` itself may not match.
function neighbour(entry, by) {
  const { document: own, result } = entry;
  const inside = by > 0 ? own.matching.find((each) => each.result.page > result.page) : own.matching.findLast((each) => each.result.page < result.page);
  const beside = order[order.indexOf(own) + by];
  return inside ?? beside?.matching.at(by > 0 ? 0 : -1) ?? null;
}
