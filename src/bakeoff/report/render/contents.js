/* What the length of the report asks for: contents that follow the reader, and folds that open for links and paper. */
(() => {
  /* Contents: the section that a line in the upper part of the window lies in is the current one. It is asked where
     sections are rather than told what enters and leaves: one message that is lost would leave it wrong for good. */
  const contents = document.querySelector(".contents");
  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  let current = null;
  const follow = () => {
    const line = innerHeight / 5;
    const isEnd = scrollY > 0 && scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    const under = sections.findLast((section) => section.getBoundingClientRect().top <= line) ?? sections[0];
    const reached = isEnd ? sections.at(-1) : under;
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

  /* Older browsers do not open the folds around what a link leads to. */
  const reveal = () => {
    let fold = document.getElementById(location.hash.slice(1))?.closest("details:not([open])");
    for (; fold; fold = fold.closest("details:not([open])")) fold.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  /* Paper has no folds: what they hold is printed too, but not the tables that repeat a chart. */
  const folds = [...document.querySelectorAll("#data details, #glossary")];
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
