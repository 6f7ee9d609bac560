/* What moves on the page: charts, contents that follow the reader, explanations of terms, print.
   Colours are CSS variables, so light, dark and print need no second drawing. */
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

  /* One after the other, the nearest to the reader first: the page answers meanwhile. */
  const pause = () => new Promise((resolve) => setTimeout(resolve));
  const distance = (key) => {
    const box = document.getElementById(`chart-${key}`).getBoundingClientRect();
    return Math.abs(box.top + box.height / 2 - innerHeight / 2);
  };
  (async () => {
    const waiting = Object.keys(specs).filter((key) => document.getElementById(`chart-${key}`));
    while (waiting.length) {
      const nearest = waiting.reduce((one, other) => (distance(other) < distance(one) ? other : one));
      waiting.splice(waiting.indexOf(nearest), 1);
      await draw(nearest);
      await pause();
    }
    root.dataset.charts = "drawn";
  })();

  /* Contents: the section that a line in the upper part of the window lies in is the current one. It is asked where
     sections are rather than told what enters and leaves: one message that is lost would leave it wrong for good. */
  const contents = document.querySelector(".contents");
  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  let current = null;
  const follow = () => {
    const line = innerHeight / 5;
    const reached = sections.findLast((section) => section.getBoundingClientRect().top <= line) ?? sections[0];
    if (reached === current) return;
    links.get(current?.id)?.removeAttribute("aria-current");
    current = reached;
    const link = links.get(current.id);
    link.setAttribute("aria-current", "true");
    const list = link.closest("ol");
    list.scrollLeft = link.offsetLeft - list.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
    if (contents.scrollHeight > contents.clientHeight) {
      contents.scrollTop = link.offsetTop - (contents.clientHeight - link.offsetHeight) / 2;
    }
  };
  addEventListener("scroll", follow, { passive: true });
  new ResizeObserver(follow).observe(document.body); /* charts that are drawn move what is below them */

  /* Terms: the explanation shows on hover and on focus, stays while the pointer is on it, and goes with Escape. */
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let explained = null;
  let leaving = 0;
  const hide = () => {
    clearTimeout(leaving);
    explained?.removeAttribute("aria-describedby");
    explained = null;
    tip.hidden = true;
  };
  const place = () => {
    const word = explained.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, word.left), root.clientWidth - box.width - 8);
    const above = word.top - box.height - 6;
    tip.style.transform = `translate(${left}px, ${above > 8 ? above : word.bottom + 6}px)`;
  };
  const explain = (term) => {
    clearTimeout(leaving);
    if (explained === term) return;
    hide();
    if (term.title) {
      term.dataset.meaning = term.title;
      term.removeAttribute("title"); /* or the browser shows a second explanation over this one */
    }
    explained = term;
    tip.textContent = term.dataset.meaning;
    tip.hidden = false;
    term.setAttribute("aria-describedby", "tip");
    place();
  };
  const termAt = (event) => event.target.closest?.(".term");
  addEventListener("mouseover", (event) => {
    if (termAt(event)) explain(termAt(event));
    else if (tip.contains(event.target)) clearTimeout(leaving);
  });
  addEventListener("mouseout", (event) => {
    if (explained && explained !== document.activeElement && (termAt(event) || tip.contains(event.target))) {
      leaving = setTimeout(hide, 200);
    }
  });
  addEventListener("focusin", (event) => (termAt(event) ? explain(termAt(event)) : hide()));
  addEventListener("focusout", hide);
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  const isAsked = () => explained === document.activeElement || explained.matches(":hover");
  const keep = () => explained && (isAsked() ? place() : hide());
  addEventListener("scroll", keep, { passive: true, capture: true });

  /* Paper has no folds: what they hold is printed too, but not the tables that repeat a chart. */
  const folds = [...document.querySelectorAll("#data details, #reproduce details, details.card")];
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folds.filter((fold) => !fold.open);
    closed.forEach((fold) => {
      fold.open = true;
    });
  });
  addEventListener("afterprint", () =>
    closed.forEach((fold) => {
      fold.open = false;
    }),
  );
})();
