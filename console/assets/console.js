// Comfort only: every page reads and acts without it.
(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const full = new Intl.DateTimeFormat("sv-SE", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    fractionalSecondDigits: 3,
  });
  const day = new Intl.DateTimeFormat("sv-SE", { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  const ago = (milliseconds) => {
    const seconds = Math.max(0, Math.round(milliseconds / 1000));
    if (seconds < 120) return `${seconds} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  };
  const tell = (root) => {
    for (const time of root.querySelectorAll("time[data-as]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (time.dataset.as === "clock") time.textContent = clock.format(at);
      if (time.dataset.as === "day") {
        const part = Object.fromEntries(day.formatToParts(at).map(({ type, value }) => [type, value]));
        time.textContent = `${part.month}-${part.day} ${part.hour}:${part.minute}`;
      }
      if (time.dataset.as === "full") time.textContent = `${full.format(at).replace(",", ".")} ${zone}`;
      if (time.dataset.as === "age") time.textContent = ago(Date.now() - at);
      if (time.dataset.as === "ago") time.textContent = `${ago(Date.now() - at)} ago`;
    }
    for (const button of root.querySelectorAll(".copy[hidden]")) button.hidden = false;
    for (const name of root.querySelectorAll("[data-zone]")) name.textContent = zone;
  };

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      announce("copied");
    }
    const file = event.target.closest("[data-all]");
    if (file) {
      for (const box of document.querySelectorAll(`input[name=${file.dataset.all}]`)) box.checked = file.checked;
    }
  });
  const announce = (text) => {
    const said = document.getElementById("said");
    if (said) said.textContent = text;
  };

  // A file is read into the field that is submitted.
  document.addEventListener("change", async (event) => {
    const target = event.target.dataset?.into && document.getElementById(event.target.dataset.into);
    const file = event.target.files?.[0];
    if (target && file) target.value = await file.text();
  });

  // Refresh while somebody looks, and never under the reader's pointer.
  const refresh = () => {
    const live = document.querySelector("main[data-every]");
    if (live) live.dataset.waited = "0";
    document.body.dispatchEvent(new CustomEvent("refresh"));
  };
  setInterval(() => {
    const live = document.querySelector("main[data-every]");
    if (!live || document.visibilityState !== "visible") return;
    const busy = live.querySelector("input:focus, textarea:focus, select:focus, tbody tr:hover, input:checked, details[open] form");
    const entered = [...live.querySelectorAll("input:not([type=checkbox]), textarea")].some((field) => field.value !== field.defaultValue);
    if (busy || entered) return;
    const seconds = Number(live.dataset.every);
    live.dataset.waited = String(Number(live.dataset.waited ?? 0) + 1);
    if (Number(live.dataset.waited) >= seconds) refresh();
  }, 1000);

  // Who is no longer signed in is told so. What could not be read again says that it is old.
  const old = (event) => {
    if (event.detail.xhr?.status === 401) location.reload();
    for (const told of document.querySelectorAll("[data-fresh]")) {
      told.textContent = `could not be read again at ${clock.format(new Date())}`;
      told.setAttribute("role", "status");
    }
  };
  document.addEventListener("htmx:responseError", old);
  document.addEventListener("htmx:sendError", old);

  // What has arrived gets the reader's times and buttons, and the keyboard keeps its row.
  let kept = null;
  const nameOf = (row) => row?.querySelector("a")?.getAttribute("href");
  document.addEventListener("htmx:beforeSwap", () => { kept = nameOf(current()); });
  document.addEventListener("htmx:afterSettle", () => {
    tell(document);
    if (kept) rows().find((row) => nameOf(row) === kept)?.setAttribute("aria-current", "true");
  });

  // Keys, outside of fields only.
  const rows = () => [...document.querySelectorAll("main table[data-rows] tbody tr:not(.below)")];
  const current = () => rows().find((row) => row.getAttribute("aria-current"));
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const from = all.indexOf(current());
    const next = all[Math.min(all.length - 1, Math.max(0, from + step))];
    all.forEach((row) => row.removeAttribute("aria-current"));
    next.setAttribute("aria-current", "true");
    next.scrollIntoView({ block: "nearest" });
  };
  const places = { o: "", e: "/events", b: "/batches", c: "/calls", d: "/dead-letters" };
  let going = false;
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape" && field) field.blur();
    if (field || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("keys") === "off") return;
    const base = document.body.dataset.base;
    if (going) {
      going = false;
      if (event.key in places) location.href = base + places[event.key];
      return;
    }
    const act = {
      j: () => move(1),
      k: () => move(-1),
      Enter: () => event.target === document.body && current()?.querySelector("a")?.click(),
      x: () => {
        const box = current()?.querySelector("input[type=checkbox]");
        if (box) box.checked = !box.checked;
      },
      "/": () => document.getElementById("find")?.focus(),
      f: () => document.querySelector("[data-filter]")?.focus(),
      r: () => document.querySelector("[data-act]")?.focus(),
      ".": refresh,
      c: () => document.querySelector("main .copy[data-copy]")?.click(),
      g: () => { going = true; },
      "?": () => { location.href = `${base}/help`; },
    }[event.key];
    if (!act) return;
    if (event.key !== "Enter") event.preventDefault();
    act();
  });
  const keys = document.getElementById("keys");
  if (keys) {
    keys.hidden = false;
    const shown = () => { keys.textContent = localStorage.getItem("keys") === "off" ? "Turn keys on" : "Turn keys off"; };
    keys.addEventListener("click", () => {
      localStorage.setItem("keys", localStorage.getItem("keys") === "off" ? "on" : "off");
      shown();
    });
    shown();
  }

  document.addEventListener("htmx:afterSettle", () => tell(document));
  tell(document);
})();
