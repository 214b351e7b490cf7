// The connection to the exporter. The page opens it again when it ends, and when it has been silent for too long.

const ADDRESS = new URL("../api/v1/stream", import.meta.url);

// The exporter sends a heartbeat every 15 s, but a browser does not report one: a silence of this many ticks is too long.
const PATIENCE = 3;
const AGAIN = 2000;

// Calls `on.state` and `on.tick` with the data of an event, and `on.link` with the connection's state (connecting, live, lost)
// and the reason of a refusal.
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
      // The browser tries again by itself unless the exporter refused: it is starting, or has all its clients.
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

// Asks for the reason of a refusal, which an EventSource does not report.
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
