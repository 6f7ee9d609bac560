/* Draws the charts of #specs. Colours are CSS variables, so light, dark and print need no second drawing. */
(() => {
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };

  const draw = async (key) => {
    const place = document.getElementById(`chart-${key}`);
    /* Vega gives what it draws into a role and a label of its own: the place keeps its words, and its table the
       figures, so that nobody is read every mark. */
    const canvas = document.createElement("div");
    canvas.setAttribute("aria-hidden", "true");
    place.append(canvas);
    try {
      await vegaEmbed(canvas, specs[key], options);
      place.dataset.drawn = "true";
      place.style.minHeight = "";
    } catch (error) {
      place.textContent = "This chart could not be drawn; the table holds its figures.";
      console.error(error);
    }
  };

  /* One after the other, the nearest to the reader first: the page answers meanwhile. A chart in a closed fold has no
     width, so it waits until the fold opens. */
  const pause = () => new Promise((resolve) => setTimeout(resolve));
  const distance = (key) => {
    const box = document.getElementById(`chart-${key}`).getBoundingClientRect();
    return Math.abs(box.top + box.height / 2 - innerHeight / 2);
  };
  const waiting = new Set(Object.keys(specs).filter((key) => document.getElementById(`chart-${key}`)));
  const isShown = (key) => !document.getElementById(`chart-${key}`).closest("details:not([open])");
  const drawShown = async () => {
    for (;;) {
      const shown = [...waiting].filter(isShown);
      if (!shown.length) return;
      const nearest = shown.reduce((one, other) => (distance(other) < distance(one) ? other : one));
      waiting.delete(nearest);
      await draw(nearest);
      await pause();
    }
  };
  addEventListener("toggle", drawShown, true);
  drawShown().then(() => {
    root.dataset.charts = "drawn";
  });
})();
