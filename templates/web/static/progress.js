// Keeps the page of a running send up to date. Without it the page reloads itself every ten seconds.
"use strict";

const section = document.getElementById("progress");
const PAUSE = 1500;

// A reason that came up since the page was loaded has no row yet.
function hasNewReason(told) {
  const places = new Set([...document.querySelectorAll("[data-shows]")].map((place) => place.dataset.shows));
  return Object.keys(told.shown).some((name) => name.includes(": ") && !places.has(name));
}

function show(told) {
  for (const place of document.querySelectorAll("[data-shows]")) {
    const text = told.shown[place.dataset.shows];
    // An unchanged status is not written again, so that screen readers announce only what is new.
    if (text !== undefined && place.textContent !== text) place.textContent = text;
  }
  const bar = document.getElementById("bar");
  if (bar) bar.value = told.percent;
  const holds = section.querySelector(".holds");
  holds.hidden = told.holds.length === 0;
  holds.replaceChildren(...told.holds.map((text) => {
    const item = document.createElement("li");
    item.lang = "en";
    item.textContent = text;
    return item;
  }));
}

async function follow(status) {
  try {
    const answer = await fetch(section.dataset.source, { cache: "no-store" });
    if (answer.ok) {
      const told = await answer.json();
      if (told.status !== status || hasNewReason(told)) return location.reload();
      show(told);
    }
  } catch {
    // The server may be starting again: keep what is shown, and ask later.
  }
  setTimeout(follow, PAUSE, status);
}

if (section && section.dataset.source) follow(section.dataset.status);
