// Headings of long tables sort them.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => {
      const s = row.cells[i].textContent, n = parseFloat(s.replace(/[,\u2009 ]/g, ""));
      return s === "" ? null : isNaN(n) ? s : n;
    };
    const rows = [...body.rows].map(row => [key(row), row]);
    rows.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1 :
      (typeof a === "number" && typeof b === "number" ? a - b
        : String(a).localeCompare(String(b))) * (up ? 1 : -1));
    body.append(...rows.map(pair => pair[1]));
  }));
}

// Tables can be taken along. Text that a spreadsheet would take for a formula gets an apostrophe.
const neutral = s =>
  /^[=+\-@\t\r]/.test(s) && !/^[+-][0-9.,]+( [^=+@]*)?$/.test(s) ? "'" + s : s;
const cellsOf = table => [...table.rows].map(row => [...row.cells].map(one => {
  const whole = one.cloneNode(true);
  whole.querySelectorAll("small,svg").forEach(x => x.remove());
  return neutral(whole.textContent.trim());
}));
const asCsv = table => cellsOf(table)
  .map(row => row.map(c => '"' + c.replace(/"/g, '""') + '"').join(",")).join("\r\n");
for (const table of document.querySelectorAll("table.stack,table.sortable")) {
  const bar = document.createElement("div"), section = table.closest("section");
  bar.className = "tools";
  const add = (label, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => act(button));
    bar.append(button);
  };
  if (navigator.clipboard) add("copy", button => navigator.clipboard
    .writeText(cellsOf(table).map(row => row.join("\t")).join("\n"))
    .then(() => { button.textContent = "copied"; },
          () => { button.textContent = "not allowed here"; }));
  add("CSV", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + asCsv(table)], {type: "text/csv"}));
    link.download = (section ? section.id : "table") + ".csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  (table.closest(".scroll,.wide") || table).before(bar);
}

// Print loses nothing.
addEventListener("beforeprint",
  () => document.querySelectorAll("details.print").forEach(one => { one.open = true; }));
