// Keeps the page as it stands: when the plane says that something was decided, the page is fetched again and what
// differs takes the place of what was there. The plane pushes no content, and nothing here decides anything.
"use strict";
(() => {
  const body = document.body;
  if (!body.dataset.live || !window.EventSource) return;
  const told = document.getElementById("live");
  const say = (on, text) => {
    if (!told) return;
    told.classList.toggle("on", on);
    told.textContent = text;
  };
  // Whoever is typing is not interrupted.
  const busy = () => document.activeElement && document.activeElement.closest("main form") !== null;
  let fetching = false;
  let again = false;
  // Not more often than this, whatever goes on; a server that has much to do is left alone for longer.
  const PAUSE = 2000;
  const REST = 15000;
  let notBefore = 0;

  const refresh = async () => {
    if (fetching || busy()) {
      again = true;
      return;
    }
    const wait = notBefore - Date.now();
    if (wait > 0) {
      if (!again) setTimeout(refresh, wait);
      again = true;
      return;
    }
    fetching = true;
    again = false;
    notBefore = Date.now() + PAUSE;
    try {
      const answer = await fetch(location.href, { headers: { "fedplane-live": "1" }, redirect: "error" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      if (answer.status === 429 || answer.status === 503) notBefore = Date.now() + REST;
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The next word tries again.
    } finally {
      fetching = false;
    }
    if (again) {
      again = false;
      setTimeout(refresh, Math.max(0, notBefore - Date.now()));
    }
  };

  // Parts that carry an id are compared one by one, so that focus, selection and scrolling stay where they are.
  const take = (fresh) => {
    const changed = [];
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const here = document.getElementById(part.id);
      if (!here || here.innerHTML === part.innerHTML) continue;
      const open = [...here.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
      const focus = here.contains(document.activeElement) ? document.activeElement.id : "";
      here.innerHTML = part.innerHTML;
      for (const summary of here.querySelectorAll("details > summary")) {
        if (open.includes(summary.textContent)) summary.parentElement.open = true;
      }
      if (focus) document.getElementById(focus)?.focus();
      const words = part.dataset.part;
      if (words) changed.push(words);
    }
    if (changed.length) {
      const said = document.getElementById("said");
      if (said) said.textContent = "Changed: " + changed.join(", ");
    }
  };

  const source = new EventSource("/live");
  source.addEventListener("open", () => say(true, "live"));
  source.addEventListener("error", () => say(false, "not live: trying again"));
  source.addEventListener("changed", refresh);
  source.addEventListener("ended", () => {
    source.close();
    location.reload();
  });
  document.addEventListener("focusout", () => {
    if (again) setTimeout(refresh, 200);
  });
  // Times that are told as distances grow old by themselves.
  setInterval(refresh, 30000);
})();
