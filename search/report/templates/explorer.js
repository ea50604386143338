// Sliders: what the model of the metrics expects at other values. The arithmetic is that of
// search/sampling/explorer.py.
for (const root of document.querySelectorAll("[data-explorer]")) {
  const model = JSON.parse(root.dataset.explorer), state = {};
  const size = (value, digits = 4) => {
    if (value === 0) return "0";
    const whole = Math.abs(value) >= 1000 ? Math.round(value)
      : Number(value.toPrecision(digits));
    return whole.toLocaleString("en-US", {maximumFractionDigits: 12});
  };
  const short = value => {
    for (const [large, word] of [[1e12, "tn"], [1e9, "bn"], [1e6, "m"]])
      if (Math.abs(value) >= large * (1 - 5e-5)) return size(value / large) + " " + word;
    return size(value);
  };
  const shown = (value, unit) => typeof value !== "number" ? String(value)
    : unit === "fraction" ? size(value * 100) + " %" : short(value) + (unit ? " " + unit : "");
  const matern = d => { const s = Math.sqrt(5) * d; return (1 + s + s * s / 3) * Math.exp(-s); };
  const kernel = (one, a, b) => {
    let product = 0, squares = 0;
    for (const i of one.coordinates) { product += a[i] * b[i]; squares += (a[i] - b[i]) ** 2; }
    const d = Math.sqrt(squares), [long, brief, rough] = model.lengths;
    return model.constant + product
      + one.quadratic * product * product / Math.max(one.coordinates.length / 3, 1)
      + one.smooth * (matern(d / long) + model.short * matern(d / brief))
      + one.rough * matern(d / rough);
  };
  const solve = (factor, right) => {
    const out = new Float64Array(right.length);
    for (let i = 0; i < right.length; i++) {
      let sum = right[i];
      for (let j = 0; j < i; j++) sum -= factor[i][j] * out[j];
      out[i] = sum / factor[i][i];
    }
    return out;
  };
  const fit = one => {
    const n = model.points.length, noise = model.noise * one.rough, factor = [];
    for (let i = 0; i < n; i++) {
      factor.push(new Float64Array(n));
      for (let j = 0; j <= i; j++) {
        let sum = kernel(one, model.points[i], model.points[j]);
        if (i === j) sum += noise + model.nugget;
        for (let k = 0; k < j; k++) sum -= factor[i][k] * factor[j][k];
        factor[i][j] = i === j ? Math.sqrt(sum) : sum / factor[j][j];
      }
    }
    const half = solve(factor, one.values.map(
      v => ((one.log ? Math.log(v) : v) - one.centre) / one.spread));
    const scale = (1 + half.reduce((s, v) => s + v * v, 0)) / (1 + n);
    return {factor, half, scale, noise};
  };
  const estimate = (one, x) => {
    one.fit = one.fit || fit(one);
    const across = solve(one.fit.factor, model.points.map(p => kernel(one, p, x)));
    let mean = 0, known = 0;
    across.forEach((v, i) => { mean += v * one.fit.half[i]; known += v * v; });
    const own = kernel(one, x, x) + one.fit.noise;
    const reach = model.reach * Math.sqrt(Math.max(one.fit.scale * (own - known), 0));
    return [mean, mean - reach, mean + reach].map(v => {
      const raw = v * one.spread + one.centre;
      return one.log ? Math.exp(raw) : raw;
    });
  };
  const by = Object.fromEntries(model.parameters.map(p => [p.name, p]));
  const encode = values => model.order.flatMap(name => {
    const p = by[name], value = values[name];
    if (p.choices) return p.choices.map(c => (c === value ? 1 : 0) - 1 / p.choices.length);
    if (p.low === p.high) return [-1];
    const u = p.log ? Math.log(value / p.low) / Math.log(p.high / p.low)
      : (value - p.low) / (p.high - p.low);
    return [2 * u - 1];
  });
  const element = (name, kind, text) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const quote = word => /^[\w@%+=:,./-]+$/.test(word) ? word
    : "'" + word.replace(/'/g, "'\"'\"'") + "'";
  const inputs = element("div", "knobs"), results = element("table", "stack"),
    near = element("p", "soft small"), command = element("pre"), bar = element("p");
  const knobs = {};
  for (const p of model.parameters) {
    const row = element("label", "knob"), out = element("output", "", "");
    let input;
    if (p.choices) {
      input = element("select");
      p.choices.forEach((c, i) => { const o = element("option", "", String(c)); o.value = i; input.append(o); });
      input.addEventListener("change", () => { state[p.name] = p.choices[input.value]; update(); });
    } else {
      input = element("input");
      input.type = "range";
      const steps = p.step && !p.log ? Math.round((p.high - p.low) / p.step) : 1000;
      input.min = 0; input.max = steps; input.step = 1;
      const value = k => Number((p.log ? p.low * (p.high / p.low) ** (k / steps)
        : p.low + (p.high - p.low) * k / steps).toPrecision(12));
      input.addEventListener("input", () => { state[p.name] = value(Number(input.value)); update(); });
      p.place = v => Math.round(steps * (p.log ? Math.log(v / p.low) / Math.log(p.high / p.low)
        : (v - p.low) / (p.high - p.low || 1)));
    }
    knobs[p.name] = {input, out};
    row.append(element("span", "", p.name), input, out);
    inputs.append(row);
  }
  const set = which => {
    for (const p of model.parameters) {
      state[p.name] = p[which];
      const input = knobs[p.name].input;
      input.value = p.choices ? p.choices.indexOf(p[which]) : p.place(p[which]);
    }
    update();
  };
  const head = element("thead"), body = element("tbody"), heads = element("tr");
  const names = ["metric", "estimate", "95 % interval", "wanted", "verdict"];
  names.forEach((name, i) => heads.append(element("th", i ? "" : "t", name)));
  head.append(heads);
  results.append(head, body);
  const rows = model.metrics.map(one => {
    const row = element("tr"), cells = ["t", "", "", "", "t"].map(kind => element("td", kind));
    cells[0].textContent = one.name;
    cells[3].textContent = one.wanted;
    cells.forEach((cell, k) => { if (k) cell.dataset.name = names[k]; });
    row.append(...cells);
    body.append(row);
    return cells;
  });
  const update = () => {
    const x = encode(state);
    model.metrics.forEach((one, i) => {
      const [middle, low, high] = estimate(one, x), cells = rows[i];
      cells[1].textContent = shown(middle, one.unit);
      cells[2].textContent = shown(low, one.unit) + " to " + shown(high, one.unit);
      cells[4].replaceChildren();
      if (one.band) {
        const [from, to] = one.band.map((v, k) => v === null ? (k ? Infinity : -Infinity) : v);
        const inside = low >= from && high <= to, outside = high < from || low > to;
        cells[4].append(element("span", "badge " + (inside ? "good" : outside ? "bad" : "warn"),
          inside ? "met" : outside ? "missed" : "unsure"));
      }
      one.last = [middle, low, high];
    });
    for (const p of model.parameters)
      knobs[p.name].out.textContent = shown(state[p.name], p.unit);
    const close = model.points
      .map((p, i) => [p.reduce((s, v, k) => s + (v - x[k]) ** 2, 0), model.trials[i]])
      .sort((a, b) => a[0] - b[0]).slice(0, 3)
      .map(([d, trial]) => d < 1e-12 ? "trial " + trial + " (this very point)" : "trial " + trial);
    near.textContent = "Nearest evaluated: " + close.join(", ") + ".";
    command.textContent = [...model.command, ...Object.entries(state)
      .flatMap(([name, v]) => ["--set", name + "=" + v])].map(quote).join(" ");
    root.dataset.estimates = JSON.stringify(model.metrics.map(one => one.last));
  };
  for (const which of ["plan", "today"]) {
    if (model.parameters.some(p => p[which] === null)) continue;
    const button = element("button", "reset", which + "'s values");
    button.type = "button";
    button.addEventListener("click", () => set(which));
    bar.append(button);
  }
  root.append(bar, inputs, results, near, command);
  set("plan");
}
