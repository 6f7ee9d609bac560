/* The embedding map and the nearest items: search a title, choose a model, click a mark. Needs #explore-data. */
(() => {
  const source = document.getElementById("explore-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const element = (id) => document.getElementById(id);
  const query = element("explore-query");
  const results = element("explore-results");
  const status = element("explore-status");
  const place = element("explore-map");
  const SHOWN = 8;
  const FAINT = 0.16;
  const CLEAR = 0.75;
  const folded = data.titles.map((title) => title.toLowerCase());
  let chosen = data.chosen;
  let found = new Set();
  let model = document.querySelector("input[name='explore-model']:checked")?.value;
  let view = null;

  /* One row per item of the map; marked ones last, so that they lie on top. */
  const rows = () => {
    const positions = data.positions[model];
    const near = new Set(data.near[model]?.[chosen]?.[0] ?? []);
    const drawn = [];
    for (let item = 0; item < data.titles.length; item += 1) {
      const x = positions[2 * item];
      if (x < 0) continue;
      const mark = item === chosen ? "chosen" : found.has(item) ? "found" : near.has(item) ? "near" : "";
      const isDim = found.size > 0 && mark === "";
      drawn.push({
        item,
        x,
        y: positions[2 * item + 1],
        title: data.titles[item],
        tag: data.tags[data.tag[item]],
        o: isDim ? FAINT : CLEAR,
        s: mark === "" ? 26 : 60,
        mark,
      });
    }
    return drawn.sort((one, other) => (one.mark === "" ? 0 : 1) - (other.mark === "" ? 0 : 1));
  };

  const redraw = () => view?.data("items", rows()).runAsync();

  const draw = async () => {
    if (!place) return;
    try {
      const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };
      const spec = { ...data.spec, data: { name: "items", values: rows() } };
      view = (await vegaEmbed(place, spec, options)).view;
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      view.addEventListener("click", (_, mark) => {
        if (mark?.datum?.item !== undefined) choose(mark.datum.item);
      });
      place.dataset.drawn = "true";
    } catch (error) {
      place.textContent = "The map could not be drawn; the lists below hold what lies near.";
      console.error(error);
    }
  };

  /* A title reads in its own direction, whatever that of the words around it. */
  const isolated = (item) => `\u2068${data.titles[item]}\u2069`;

  const button = (item) => {
    const made = document.createElement("button");
    made.type = "button";
    made.dir = "auto";
    made.textContent = data.titles[item];
    made.addEventListener("click", () => choose(item));
    return made;
  };

  const line = (item, similarity) => {
    const made = document.createElement("li");
    const figure = document.createElement("small");
    figure.textContent = (similarity / 100).toFixed(2);
    made.append(figure, " ", button(item));
    return made;
  };

  const nothing = () => {
    const made = document.createElement("li");
    made.className = "nothing";
    made.textContent = "not among the items whose neighbours are kept";
    return made;
  };

  const fill = () => {
    element("explore-chosen").textContent = `Nearest items of ${isolated(chosen)}`;
    document.querySelectorAll("#explore-lists .list").forEach((list) => {
      const [items, similarities] = data.near[list.dataset.model]?.[chosen] ?? [[], []];
      const lines = items.map((item, rank) => line(item, similarities[rank]));
      list.querySelector("ol").replaceChildren(...(lines.length ? lines : [nothing()]));
    });
  };

  const choose = (item) => {
    chosen = item;
    found = new Set();
    results.replaceChildren();
    status.textContent = `${isolated(item)} is chosen; its nearest items stand below the map.`;
    fill();
    redraw();
  };

  const search = () => {
    const text = query.value.trim().toLowerCase();
    const matches = text ? folded.flatMap((title, item) => (title.includes(text) ? [item] : [])) : [];
    found = new Set(matches);
    results.replaceChildren(
      ...matches.slice(0, SHOWN).map((item) => {
        const made = document.createElement("li");
        made.append(button(item));
        return made;
      }),
    );
    const more = matches.length > SHOWN ? `, the first ${SHOWN} are listed` : "";
    status.textContent = text
      ? `${matches.length} ${matches.length === 1 ? "title matches" : "titles match"}${more}`
      : `${data.titles.length} items`;
    redraw();
  };

  const leave = () => {
    results.replaceChildren();
  };

  query.addEventListener("input", search);
  query.addEventListener("focus", () => query.value && search());
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found.size) choose(Math.min(...found));
    if (event.key === "ArrowDown") results.querySelector("button")?.focus();
    if (event.key === "ArrowDown") event.preventDefault();
  });
  results.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    (event.target.closest("li")[step]?.querySelector("button") ?? query).focus();
  });
  document.querySelector(".explore-search").addEventListener("keydown", (event) => event.key === "Escape" && leave());
  addEventListener("click", (event) => !event.target.closest(".explore-search") && leave());
  document.querySelectorAll("input[name='explore-model']").forEach((radio) =>
    radio.addEventListener("change", () => {
      model = radio.value;
      redraw();
    }),
  );

  fill();
  (window.requestIdleCallback ?? setTimeout)(draw);
})();
