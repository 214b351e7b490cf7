// Choices that the browser keeps from one visit to the next. A browser that keeps nothing throws at each access;
// then a choice lasts as long as the page.

export function load(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function save(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice is not kept.
  }
}
