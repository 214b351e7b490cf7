// Watches over the loading of the page. If a file does not arrive, as when a rate limit refuses it, no module runs, and the page
// would stay at "Connecting" for ever: this says so, and loads the page again.

"use strict";

addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const live = document.getElementById("live");
    live.dataset.state = "lost";
    live.textContent = "A file of this page did not arrive, loading it again";
    setTimeout(() => location.reload(), 5000);
  },
  true,
);
