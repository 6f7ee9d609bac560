/* Draws each chart into its place. Colours are CSS variables, so light, dark and print need no second drawing. */
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };
  const draw = async (key) => {
    const place = document.getElementById(`chart-${key}`);
    try {
      await vegaEmbed(place, specs[key], options);
      /* The place says what is drawn; its table holds the figures: no need to read out every mark. */
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      place.dataset.drawn = "true";
      place.style.minHeight = "";
    } catch (error) {
      place.textContent = "This chart could not be drawn; the table holds its figures.";
      console.error(error);
    }
  };
  const all = Promise.all(Object.keys(specs).map(draw));
  all.then(() => { document.documentElement.dataset.charts = "drawn"; });

  /* Paper has no folds: what they hold is printed too, but not the tables that repeat a chart. */
  const folds = [...document.querySelectorAll("#data details, #reproduce details")];
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folds.filter((fold) => !fold.open);
    closed.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((fold) => { fold.open = false; }));
})();
