// The connection to the exporter. It is opened again whenever it ends, and while it is silent for too long.

const ADDRESS = new URL("../api/v1/stream", import.meta.url);

// The exporter says something every 15 s, if only that it is there; but a browser does not tell of that.
const PATIENCE = 3;
const AGAIN = 2000;

// Calls `on.state`, `on.tick` with what was told, and `on.link` with what the connection is: connecting, live, lost; and why, if
// the exporter has refused it.
export function follow(on) {
  let source = null;
  let timer = 0;
  let interval = 1;

  function watch() {
    clearTimeout(timer);
    timer = setTimeout(() => open("lost"), Math.max(PATIENCE * interval + 5, 10) * 1000);
  }

  function open(link) {
    on.link(link);
    source?.close();
    source = new EventSource(ADDRESS);
    source.addEventListener("state", (event) => {
      const state = JSON.parse(event.data);
      interval = state.interval;
      watch();
      on.link("live");
      on.state(state);
    });
    source.addEventListener("tick", (event) => {
      watch();
      on.tick(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      on.link("lost");
      // It tries again by itself, unless it was refused: then the exporter starts, or has no place.
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(timer);
        timer = setTimeout(() => open("lost"), AGAIN);
        const refused = source;
        why().then((reason) => refused === source && refused.readyState === EventSource.CLOSED && on.link("lost", reason));
      }
    });
    watch();
  }

  open("connecting");
}

// Why the exporter refuses: an EventSource does not tell.
async function why() {
  const over = new AbortController();
  try {
    const answer = await fetch(ADDRESS, { cache: "no-store", signal: over.signal });
    if (answer.ok) return null;
    const said = await answer.json().catch(() => ({}));
    return said.error ?? `${answer.status} ${answer.statusText}`;
  } catch {
    return null;
  } finally {
    over.abort();
  }
}
