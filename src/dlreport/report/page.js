// What the page does beyond reading: light or dark, contents, pictures that enlarge.
"use strict";
{
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");

  // The reader's choice of theme is kept where the browser allows that, which is not sure for a file.
  try {
    const kept = localStorage.getItem("dlreport-theme");
    if (kept) root.dataset.theme = kept;
  } catch { /* the system's, then */ }

  function prepareTheme() {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = theme() === "dark" ? "Light theme" : "Dark theme"; };
    button.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      say();
      try { localStorage.setItem("dlreport-theme", theme()); } catch { /* for this visit, then */ }
    });
    dark.addEventListener("change", say);
    say();
    button.hidden = false;
  }

  // Beside the text the contents are open; above it, on a phone, they open on demand and close behind the reader.
  function prepareContents() {
    const contents = document.querySelector("nav details");
    const wide = matchMedia("(min-width: 70rem)");
    const fit = () => { contents.open = wide.matches; };
    wide.addEventListener("change", fit);
    contents.addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });
    contents.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || wide.matches) return;
      fit();
      contents.querySelector("summary").focus();
    });
    fit();

    const headings = [...document.querySelectorAll("main :is(h2, h3)")];
    const mark = () => {
      const passed = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 4);
      contents.querySelector("[aria-current]")?.removeAttribute("aria-current");
      contents.querySelector(`[href="#${passed.at(-1)?.id}"]`)?.setAttribute("aria-current", "true");
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }

  // A picture is a button that opens the viewer. It is shown as large as the window, and never smaller than it is.
  function preparePictures() {
    const viewer = document.getElementById("viewer");
    const [shown, caption] = viewer.querySelectorAll("img, p");
    for (const picture of document.querySelectorAll("main img")) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "picture", title: "Enlarge", ariaHasPopup: "dialog" });
      picture.replaceWith(button);
      button.append(picture);
      button.addEventListener("click", () => {
        const { naturalWidth: width, naturalHeight: height } = picture;
        shown.src = picture.src;
        shown.alt = caption.textContent = picture.alt;
        shown.width = width * Math.max(1, Math.min((innerWidth - 64) / width, (innerHeight - 160) / height));
        viewer.showModal();
      });
    }
    viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  }

  addEventListener("DOMContentLoaded", () => {
    prepareTheme();
    prepareContents();
    preparePictures();
  });
}
