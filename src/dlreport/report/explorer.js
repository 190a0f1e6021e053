// The generator in the browser: images on a walk between two latent vectors.
"use strict";
{
  const SIDE = 28;
  const STRIP = 9;
  const form = document.getElementById("explorer");
  const given = JSON.parse(document.getElementById("generator").textContent);
  const { widths, slope } = given;

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const packed = bytes(given.weights); // two integers of 12 bits in three bytes
  const scales = floats(given.scales); // what one is worth, by row
  const biases = floats(given.biases);
  const weights = new Int16Array(packed.length / 3 * 2);
  for (let i = 0; i < weights.length; i += 2) {
    const at = i / 2 * 3;
    weights[i] = (packed[at] << 4 | packed[at + 1] >> 4) - 2048;
    weights[i + 1] = ((packed[at + 1] & 15) << 8 | packed[at + 2]) - 2048;
  }

  // A latent vector to 784 pixels in [-1, 1].
  window.generate = (latent) => {
    let input = latent;
    let at = 0; // in `weights`
    let row = 0; // in `scales` and `biases`
    for (let layer = 1; layer < widths.length; layer++) {
      const output = new Float32Array(widths[layer]);
      for (let unit = 0; unit < output.length; unit++, row++) {
        let sum = 0;
        for (let i = 0; i < input.length; i++) sum += weights[at++] * input[i];
        sum = sum * scales[row] + biases[row];
        output[unit] = layer === widths.length - 1 ? Math.tanh(sum) : sum > 0 ? sum : slope * sum;
      }
      input = output;
    }
    return input;
  };

  // A standard normal vector that follows from a seed: Box and Muller's pairs, of numbers by mulberry32.
  function random(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32; // never 0
    };
    return Float32Array.from({ length: widths[0] }, () =>
      Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  const mix = (a, b, ofA, ofB) => a.map((value, i) => ofA * value + ofB * b[i]);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  // The latent vector at t in [0, 1] of the chosen walk.
  function walk() {
    const kind = form.walk.value;
    if (kind === "ones") return (t) => new Float32Array(widths[0]).fill(t);
    const a = random(form.a.valueAsNumber);
    const b = random(form.b.valueAsNumber);
    if (kind === "line") return (t) => mix(a, b, 1 - t, t);
    const angle = Math.acos(Math.min(1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))));
    if (angle === 0) return () => a; // the same seed twice
    return (t) => mix(a, b, Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle));
  }

  function draw(canvas, images) {
    canvas.width = images.length * SIDE;
    canvas.height = SIDE;
    const context = canvas.getContext("2d");
    images.forEach((image, column) => {
      const pixels = context.createImageData(SIDE, SIDE);
      image.forEach((value, i) => pixels.data.fill(127.5 * (value + 1), 4 * i, 4 * i + 3));
      for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 255;
      context.putImageData(pixels, column * SIDE, 0);
    });
  }

  const drawn = document.getElementById("drawn");
  const strip = document.getElementById("strip");
  const position = document.getElementById("position");
  let at;

  function step() {
    draw(drawn, [window.generate(at(position.value / 100))]);
    const said = `${position.value} % of the way`;
    position.setAttribute("aria-valuetext", said);
    form.querySelector("output").textContent = said;
    drawn.ariaLabel = `Generated image at ${said}`;
  }

  function start() {
    document.getElementById("ends").disabled = form.walk.value === "ones";
    at = walk();
    draw(strip, Array.from({ length: STRIP }, (_, i) => window.generate(at(i / (STRIP - 1)))));
    step();
  }

  form.addEventListener("input", (event) => (event.target === position ? step() : start()));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("[data-end]")) {
    button.addEventListener("click", () => {
      form[button.dataset.end].value = Math.floor(Math.random() * 1e6);
      start();
    });
  }
  strip.addEventListener("click", (event) => {
    position.value = (Math.floor((event.offsetX / strip.clientWidth) * STRIP) / (STRIP - 1)) * 100;
    step();
  });
  form.hidden = false;
  start();
}
