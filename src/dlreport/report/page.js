// What the page does beyond reading: light or dark, contents, pictures that enlarge.
"use strict";
{
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const wide = matchMedia("(min-width: 70rem)");

  // The reader's choice of theme is kept where the browser allows that, which is not sure for a file.
  const kept = () => { try { return localStorage.getItem("dlreport-theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("dlreport-theme", theme); } catch { /* for this visit, then */ } };

  function theme() {
    return root.dataset.theme ?? (dark.matches ? "dark" : "light");
  }

  function setTheme(chosen) {
    if (chosen) root.dataset.theme = chosen;
    const button = document.getElementById("theme");
    if (button) button.textContent = theme() === "dark" ? "Light theme" : "Dark theme";
  }

  function prepareTheme() {
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      setTheme(theme() === "dark" ? "light" : "dark");
      keep(theme());
    });
    dark.addEventListener("change", () => setTheme());
    setTheme();
  }

  // Beside the text the contents are open; above it, on a phone, they open on demand and close behind the reader.
  function prepareContents() {
    const contents = document.querySelector("nav details");
    if (!contents) return;
    const fit = () => { contents.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
    const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
    contents.addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });
    contents.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || wide.matches) return;
      contents.open = false;
      contents.querySelector("summary").focus();
    });

    const headings = [...document.querySelectorAll("main :is(h2, h3)")];
    const mark = () => {
      const passed = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 4);
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(passed.at(-1)?.id)?.setAttribute("aria-current", "true");
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
      button.type = "button";
      button.className = "picture";
      button.title = "Enlarge";
      button.setAttribute("aria-haspopup", "dialog");
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

  setTheme(kept());
  addEventListener("storage", () => setTheme(kept()));
  addEventListener("DOMContentLoaded", () => {
    prepareTheme();
    prepareContents();
    preparePictures();
  });
}
