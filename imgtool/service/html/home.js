"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const drop = find("drop"), file = find("file"), form = find("key"), status = find("status");
  const answer = find("answer"), preview = find("preview"), about = find("about"), parts = find("parts");
  let secret = "", latest = null, turn = 0, address = null;

  const make = (name, text, kind) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const say = (text, bad) => {
    status.textContent = text;
    status.className = bad ? "bad" : "quiet";
  };
  const headers = (more) => (secret ? { ...more, authorization: `Bearer ${secret}` } : more);

  // What a task answers, as elements.
  const shown = {
    caption: (value) => [make("p", value, "value")],
    text: (lines) => {
      const sure = lines.filter((line) => !line.doubt);
      return [make("p", sure.length ? sure.map((line) => line.text).join("\n") : "no text", "value")];
    },
    labels: (labels) =>
      labels.map(({ label, score }) => {
        const row = make("div", undefined, "label");
        const meter = make("meter");
        meter.value = score;
        row.append(make("span", label), meter, make("span", score.toFixed(2)));
        return row;
      }),
    codes: (codes) => {
      if (!codes.length) return [make("p", "no codes", "value")];
      return codes.map((code) => {
        const row = make("p", `${code.kind} ${code.value}`, "value");
        for (const link of code.links || []) {
          if (!/^https?:/.test(link)) continue;
          const anchor = make("a", new URL(link).hostname);
          Object.assign(anchor, { href: link, target: "_blank", rel: "noopener noreferrer" });
          row.append(" ", anchor);
        }
        return row;
      });
    },
  };

  const card = (task) => {
    const found = parts.querySelector(`[data-task="${CSS.escape(task)}"]`);
    if (found) return found;
    const made = make("section", undefined, "panel part waiting");
    made.dataset.task = task;
    made.append(make("h3", task), make("p", "…", "value"));
    parts.append(made);
    return made;
  };
  const fill = (task, kind, elements, note) => {
    const panel = card(task);
    panel.className = `panel part ${kind}`;
    panel.replaceChildren(make("h3", task), ...elements, make("small", note));
  };

  const onEvent = (name, data) => {
    const kind = name.replace(/^detail_page_buttons?_/, "");
    if (kind === "start") data.tasks.forEach(card);
    if (kind === "ready") {
      const note = data.from_cache ? "from the cache" : `${data.seconds.toFixed(2)} s`;
      fill(data.task, "ready", shown[data.task](data.value), note);
    }
    if (kind === "error") {
      const { message, remedy } = data.problem;
      if (data.task) fill(data.task, "failed", [make("p", message, "value")], remedy);
      else say(`${message}. ${remedy}`, true);
    }
    if (kind === "complete") {
      const { answered, failed } = data.counts;
      if (answered || !failed) say(`${answered} answered${failed ? `, ${failed} failed` : ""}`);
      else say("nothing could be answered", true);
    }
    return kind === "complete";
  };

  // Reads a stream of events to its end; goes on after a break where the last one was seen.
  const follow = async (response, mine) => {
    let last = 0;
    for (let attempt = 0; attempt < 4; ) {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      try {
        for (;;) {
          const { done, value } = await reader.read();
          if (mine !== turn) return reader.cancel();
          if (done) break;
          buffer += value;
          const blocks = buffer.split("\n\n");
          buffer = blocks.pop();
          for (const block of blocks) {
            if (block.startsWith(":")) continue;
            const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
            last = fields.id;
            if (onEvent(fields.event, JSON.parse(fields.data))) return;
          }
        }
      } catch {
        // The connection broke: below.
      }
      attempt += 1;
      say("the connection broke; going on");
      await new Promise((done) => setTimeout(done, 400 * attempt));
      const more = headers({ accept: "text/event-stream", "last-event-id": String(last) });
      response = await fetch(address, { headers: more });
      if (!response.ok) break;
    }
    say("the answer broke off: send the image again", true);
  };

  const send = async (image) => {
    const mine = ++turn;
    latest = image;
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(image);
    preview.hidden = !image.type.startsWith("image/");
    about.textContent = `${image.name || "pasted image"}, ${(image.size / 1000).toFixed(0)} kB`;
    parts.replaceChildren();
    answer.hidden = false;
    say("sending …");
    try {
      const kind = image.type || "application/octet-stream";
      const response = await fetch(`/v1/predict?name=${encodeURIComponent(image.name || "pasted")}`, {
        method: "POST",
        body: image,
        headers: headers({ accept: "text/event-stream", "content-type": kind }),
      });
      if (mine !== turn) return;
      if (!response.ok) {
        const problem = await response.json();
        form.hidden = response.status !== 401;
        if (!form.hidden) find("secret").focus();
        answer.hidden = true;
        return say(`${problem.detail}. ${problem.remedy || ""}`, true);
      }
      form.hidden = true;
      address = response.headers.get("content-location");
      say("waiting for the answer …");
      await follow(response, mine);
    } catch (error) {
      if (mine === turn) say(`the service does not answer (${error.message})`, true);
    }
  };

  const take = (files) => files && files.length && send(files[0]);
  file.addEventListener("change", () => take(file.files));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    secret = find("secret").value.trim();
    if (latest) send(latest);
  });
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
})();
