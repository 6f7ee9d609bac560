/* What the length of the report asks for: contents that follow the reader, and folds that paper lacks. */
(() => {
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
