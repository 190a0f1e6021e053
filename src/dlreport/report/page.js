// What the page does beyond reading: contents, links into what is folded, pictures that enlarge.
"use strict";
{
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
  }

  // A link to something folded unfolds it.
  function unfoldTarget() {
    const target = document.getElementById(location.hash.slice(1))?.closest("details");
    if (!target) return;
    target.open = true;
    target.scrollIntoView();
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
    prepareContents();
    preparePictures();
    unfoldTarget();
    addEventListener("hashchange", unfoldTarget);
  });
}
