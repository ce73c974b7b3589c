// Keeps the page live, answers keys, and copies. Without it every view works by links, forms and reload.

const byId = (id) => document.getElementById(id);

// Show what the server says now, without losing the place: focus, open details, scrolling, what is typed.
let fetching = null;
let isStale = false;

async function refresh() {
  if (fetching) { isStale = true; return; }
  fetching = fetch(location.href, { headers: { Accept: "text/html" } });
  try {
    const reply = await fetching;
    if (reply.ok) swap(new DOMParser().parseFromString(await reply.text(), "text/html"));
  } catch { /* the stream says that the emulator has stopped */ } finally {
    fetching = null;
    if (isStale) { isStale = false; refresh(); }
  }
}

function swap(fresh) {
  const main = byId("main"), next = fresh.getElementById("main");
  if (!next) return;
  const typed = document.activeElement?.matches("main input, main textarea, main select");
  if (typed || main.querySelector("[data-keep]")) return count();
  const focus = document.activeElement?.id || document.activeElement?.getAttribute?.("href");
  const open = [...main.querySelectorAll("details[id]")].map((each) => [each.id, each.open]);
  const reader = byId("reader")?.scrollTop;
  main.replaceChildren(...next.childNodes);
  for (const [id, isOpen] of open) if (byId(id)) byId(id).open = isOpen;
  if (byId("reader") && reader) byId("reader").scrollTop = reader;
  const back = focus && (byId(focus) ?? [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus));
  back?.focus({ preventScroll: true });
}

// How many a send would reach, while its fields are filled in.
let counting;

async function count() {
  const form = byId("tags")?.form;
  if (!form) return;
  const query = new URLSearchParams({ format: byId("format").value, tags: byId("tags").value });
  const reply = await fetch(`${location.pathname}?${query}`);
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  byId("reach").replaceChildren(...fresh.getElementById("reach").childNodes);
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("#tags, #format")) return;
  clearTimeout(counting);
  counting = setTimeout(count, 150);
});

function listen() {
  const live = byId("live");
  const events = new EventSource("/_emulator/events");
  const tell = (word) => { live.textContent = word; live.className = `live ${word}`; };
  events.onopen = () => tell("live");
  events.onmessage = refresh;
  events.onerror = () => tell("stopped");
  events.addEventListener("stopped", () => tell("stopped"));
}

function step(by) {
  const links = [...document.querySelectorAll("#rows > li > a, #rows > li > details > summary")];
  if (!links.length) return;
  const at = links.findIndex((link) => link === document.activeElement || link.getAttribute("aria-current"));
  const focused = links.indexOf(document.activeElement);
  const from = focused >= 0 ? focused : at;
  links[Math.max(0, Math.min(links.length - 1, from < 0 ? 0 : from + by))].focus();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  s: () => { location.href = "/_emulator/ui/send"; },
  "/": () => byId("filter")?.focus(),
  "?": () => byId("help").showModal(),
  Escape: () => document.querySelector(".back")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});

document.addEventListener("click", async (event) => {
  const from = event.target.dataset?.copy;
  if (!from) return;
  await navigator.clipboard.writeText(byId(from).textContent);
  event.target.textContent = "Copied";
  setTimeout(() => { event.target.textContent = "Copy"; }, 1500);
});

listen();
