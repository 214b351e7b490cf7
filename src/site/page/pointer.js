// The pointer's button. A click is a press and a release on the same element: if rows move between the two it is lost, or another's.

// A release outside of the window, or of a scroll bar, may not be reported; the pointer's next move says that no button is held.
const LONGEST = 5000;

export class Pointer {
  isHeld = false;

  // `released` is called when the button is no longer held.
  constructor(released) {
    let timer = 0;
    const release = () => {
      if (!this.isHeld) return;
      clearTimeout(timer);
      this.isHeld = false;
      released();
    };
    addEventListener("pointerdown", () => {
      clearTimeout(timer);
      this.isHeld = true;
      timer = setTimeout(release, LONGEST);
    }, { capture: true });
    addEventListener("pointermove", (event) => event.buttons === 0 && release(), { capture: true, passive: true });
    for (const event of ["pointerup", "pointercancel", "blur"]) addEventListener(event, release, { capture: true });
  }
}
