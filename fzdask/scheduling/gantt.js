function (root, facts) {
  // Zoom, pan, time axis and descriptions for one chart made by gantt_svg.py.
  const plot = root.querySelector("svg.plot");
  const axis = root.querySelector(".axis");
  const said = root.querySelector(".said");
  const height = plot.viewBox.baseVal.height;
  const toUnit = facts.end / facts.span;
  const byJob = new Map();
  let from = 0, span = facts.span, grip = null;

  for (const shape of plot.querySelectorAll("rect,path")) {
    shape.style.vectorEffect = "non-scaling-stroke";
    const job = shape.dataset.j;
    if (job === undefined) continue;
    if (!byJob.has(job)) byJob.set(job, []);
    byJob.get(job).push(shape);
  }

  function show() {
    span = Math.min(facts.span, Math.max(facts.span * 1e-5, span));
    from = Math.min(facts.span - span, Math.max(0, from));
    plot.setAttribute("viewBox", `${from} 0 ${span} ${height}`);
    const wide = span * toUnit;
    let step = Math.pow(10, Math.floor(Math.log10(wide / 5)));
    if (wide / step > 25) step *= 5; else if (wide / step > 10) step *= 2;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    axis.textContent = "";
    for (let k = Math.ceil(from * toUnit / step - 1e-9); k * step <= (from + span) * toUnit; k++) {
      const tick = document.createElement("span");
      const share = (k * step / toUnit - from) / span;
      tick.textContent = (k * step).toFixed(digits) + (k % 5 === 0 ? " " + facts.unit : "");
      tick.style.cssText = `position:absolute;left:${100 * share}%;border-left:1px solid #9aa3ad;` +
        "padding:4px 0 0 3px;white-space:nowrap";
      axis.appendChild(tick);
    }
  }

  function at(event) {
    const box = plot.getBoundingClientRect();
    return from + span * (event.clientX - box.left) / box.width;
  }

  function mark(job, on) {
    for (const shape of byJob.get(job) || []) {
      shape.style.stroke = on ? "#111" : "";
      shape.style.strokeWidth = on ? "2" : "";
    }
  }

  function describe(job) {
    const parts = byJob.get(job).map((shape) => {
      const start = shape.x.baseVal.value * toUnit;
      const length = shape.width.baseVal.value * toUnit;
      return `${start.toPrecision(5)} to ${(start + length).toPrecision(5)} ${facts.unit}`;
    });
    said.textContent = `${facts.jobs[job]}: ${parts.join(", ")}`;
  }

  plot.addEventListener("wheel", (event) => {
    event.preventDefault();
    const here = at(event);
    const share = (here - from) / span;
    span *= Math.exp(event.deltaY * 0.0015);
    span = Math.min(facts.span, Math.max(facts.span * 1e-5, span));
    from = here - share * span;
    show();
  }, { passive: false });
  plot.addEventListener("pointerdown", (event) => {
    grip = at(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (grip === null) return;
    from += grip - at(event);
    show();
  });
  plot.addEventListener("pointerup", () => { grip = null; });
  plot.addEventListener("dblclick", () => { from = 0; span = facts.span; show(); });
  plot.addEventListener("pointerover", (event) => {
    const job = event.target.dataset && event.target.dataset.j;
    if (job === undefined) return;
    mark(job, true);
    describe(job);
  });
  plot.addEventListener("pointerout", (event) => {
    const job = event.target.dataset && event.target.dataset.j;
    if (job !== undefined) mark(job, false);
  });
  show();
}
