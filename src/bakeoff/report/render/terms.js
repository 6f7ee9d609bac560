/* Terms: the explanation shows on hover and on focus, stays while the pointer is on it, and goes with Escape. */
(() => {
  const root = document.documentElement;
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
})();
