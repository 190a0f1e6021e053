// Draws the charts, as wide as there is room, and the grids of one epoch at a time.
"use strict";
{
  const { charts, config, grids } = JSON.parse(document.getElementById("charts").textContent);
  const LEAST = 180; // pixels of a panel, beside its axis
  const AXIS = 62;
  const GAP = 24;

  // A chart has panels of its own (facet), others beside each other (hconcat), or neither.
  function fitted(chart, room, less) {
    const spec = structuredClone(chart);
    const beside = spec.hconcat;
    const panel = spec.spec ?? spec;
    const axes = beside ? AXIS + GAP : GAP;
    const least = beside ? 1.5 * LEAST : Math.min(LEAST, panel.width);
    const columns = Math.max(1, Math.min(beside?.length ?? spec.columns ?? 1, Math.floor((room - AXIS) / (least + axes))));
    const width = Math.max(100, Math.floor((room - AXIS - (columns - 1) * axes - less) / columns));
    for (const one of beside ?? [panel]) one.width = width;
    if (spec.facet) spec.columns = columns;
    if (beside && columns === 1) {
      spec.vconcat = beside;
      delete spec.hconcat;
    }
    return spec;
  }

  async function draw(place) {
    const room = Math.floor(place.parentElement.clientWidth);
    if (!room || place.dataset.room === String(room)) return; // folded, or drawn so already
    place.dataset.room = room;
    const narrow = room < 500 ? { legend: { ...config.legend, columns: 2 }, axisY: { labelLimit: 130 } } : {};
    const options = { renderer: "svg", actions: false, config: { ...config, ...narrow }, tooltip: { theme: "custom" } };
    // Once to see how much room the words beside it take, and again if that is too much.
    for (let less = 0, drawn = 0; drawn < 2; drawn++) {
      await vegaEmbed(place, fitted(charts[place.dataset.chart], room, less), options);
      less = place.querySelector("svg").getAttribute("width") - room;
      if (less <= 0) break;
    }
    place.querySelector("svg").setAttribute("aria-hidden", "true"); // what the place says is for the whole
  }

  async function drawAll() {
    for (const place of document.querySelectorAll(".chart")) await draw(place);
    document.documentElement.dataset.drawn = "true";
  }

  // The table of some grids becomes one grid and a slider; the table stays for who prints.
  function prepareGrids(box) {
    const [figure, image, label, slider] = ["div", "img", "label", "input"].map((tag) => document.createElement(tag));
    figure.className = "grids";
    Object.assign(slider, { type: "range", min: 0, max: grids.length - 1, value: grids.length - 1 });
    const show = () => {
      const { words, picture } = grids[slider.value];
      image.src = picture;
      image.alt = `Generated digits ${words}`;
      label.firstChild.textContent = `Generated digits ${words} `;
      slider.setAttribute("aria-valuetext", words);
    };
    label.append("", slider);
    slider.addEventListener("input", show);
    show();
    figure.append(image, label);
    box.prepend(figure);
  }

  document.querySelectorAll(".slider").forEach(prepareGrids);
  drawAll();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  for (const fold of document.querySelectorAll("main details")) fold.addEventListener("toggle", drawAll);
  // Whoever prints wants all of it.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("main details")) fold.open = true;
  });
}
