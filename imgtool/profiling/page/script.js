"use strict";
(() => {
  const sections = [...document.querySelectorAll("section")];
  const links = [...document.querySelectorAll("nav a")];
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "11px ui-sans-serif,system-ui,sans-serif";

  // As much of a label as fits, found by halving; nothing rather than two letters.
  const cut = (label, room) => {
    if (room < 20) return "";
    if (pen.measureText(label).width <= room) return label;
    let shortest = 0;
    let longest = label.length;
    while (longest - shortest > 1) {
      const middle = (shortest + longest) >> 1;
      if (pen.measureText(`${label.slice(0, middle)}…`).width <= room) shortest = middle;
      else longest = middle;
    }
    return shortest >= 3 ? `${label.slice(0, shortest)}…` : "";
  };

  const fit = (picture, from, share) => {
    const width = picture.getBoundingClientRect().width;
    for (const bar of picture.querySelectorAll(".bar")) {
      const left = (Number(bar.dataset.left) - from) / share;
      const right = left + Number(bar.dataset.width) / share;
      const hidden = right <= 0.0001 || left >= 0.9999;
      bar.style.display = hidden ? "none" : "";
      if (hidden) continue;
      const start = Math.max(0, left);
      const size = Math.min(1, right) - start;
      bar.setAttribute("x", `${start * 100}%`);
      bar.setAttribute("width", `${size * 100}%`);
      bar.querySelector("text").textContent = cut(bar.dataset.label, size * width - 6);
    }
  };

  const fitAll = () => {
    for (const picture of document.querySelectorAll("section.open .picture")) {
      const [from, share] = (picture.dataset.zoom || "0 1").split(" ").map(Number);
      fit(picture, from, share);
    }
  };

  const show = () => {
    const wanted = location.hash.slice(1);
    const open = sections.find((section) => section.dataset.name === wanted) || sections[0];
    for (const section of sections) section.classList.toggle("open", section === open);
    for (const link of links) link.setAttribute("aria-current", String(link.hash === `#${open.dataset.name}`));
    window.scrollTo(0, 0);
    fitAll();
  };

  document.addEventListener("click", (event) => {
    const picture = event.target.closest(".zooms");
    if (!picture) return;
    const bar = event.target.closest(".bar");
    picture.dataset.zoom = bar ? `${bar.dataset.left} ${Math.max(1e-6, Number(bar.dataset.width))}` : "0 1";
    fitAll();
  });
  // Without a script the addresses of the tabs are places to scroll to; with one they must not scroll.
  for (const section of sections) {
    section.dataset.name = section.id;
    section.removeAttribute("id");
  }
  document.body.classList.add("tabbed");
  window.addEventListener("hashchange", show);
  window.addEventListener("resize", fitAll);
  show();
})();
