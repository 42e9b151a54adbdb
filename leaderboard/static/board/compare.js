// Two rows beside each other: values, differences, and who is better case by case.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, set = radbench.address.set, make = radbench.dom.make, check = radbench.dom.check;
  var number = radbench.numbers.number, span = radbench.numbers.span, value = radbench.numbers.value;
  var metrics = board.metrics, rows = board.rows, row = board.row, cell = board.cell, title = board.title;

  var panel = make("section", { class: "compare", "aria-label": "Comparison of two rows", "aria-live": "polite" });
  panel.hidden = true;

  function picks() { return state.compare ? state.compare.split(",").filter(row) : []; }

  function addPicks() {
    rows().forEach(function (r) {
      var head = r.querySelector("th");
      if (head.querySelector(".pick")) return;
      var box = check("compare", picks().indexOf(r.dataset.name) >= 0, function (on) {
        var chosen = picks().filter(function (n) { return n !== r.dataset.name; });
        if (on) chosen.push(r.dataset.name);
        set("compare", chosen.slice(-2).join(","));
        compare();
      });
      box.className = "pick";
      box.firstChild.setAttribute("aria-label", "Compare " + title(r));
      head.appendChild(box);
    });
  }

  function compare() {
    var chosen = picks();
    rows().forEach(function (r) {
      var on = chosen.indexOf(r.dataset.name) >= 0, box = r.querySelector(".pick input");
      r.classList.toggle("picked", on);
      if (box) box.checked = on;
    });
    panel.textContent = "";
    panel.hidden = chosen.length !== 2;
    if (panel.hidden) return;
    var a = row(chosen[0]), b = row(chosen[1]);
    var tied = (a.dataset.tied || "").split(" ").indexOf(chosen[1]) >= 0;
    panel.appendChild(make("h3", { text: title(a) + " against " + title(b) }));
    panel.appendChild(make("p", { text: tied
      ? "The data do not settle which of the two ranks higher."
      : "Rank " + Number(a.cells[0].dataset.value) + " against rank " + Number(b.cells[0].dataset.value) + "; the data settle this order." }));
    var out = make("table", {}), top = make("tr"), rowsOut = make("tbody");
    ["Metric", title(a), title(b), "Difference", "Better case by case"].forEach(function (text, i) {
      top.appendChild(make("th", { scope: "col", class: i ? "num" : "", text: text }));
    });
    out.appendChild(make("caption", { text: "Values over " + (board.shown ? board.shown.title + " alone, n = " + board.shown.n : "all cases")
      + ", with intervals; the difference is the first less the second" + (board.shown ? "; case by case over all cases" : "") }));
    out.appendChild(make("thead", {}, [top]));
    out.appendChild(rowsOut);
    metrics.forEach(function (h) {
      var places = Number(h.dataset.places), unit = h.dataset.unit ? " [" + h.dataset.unit + "]" : "";
      var ca = cell(a, h.dataset.metric).dataset, cb = cell(b, h.dataset.metric).dataset;
      var va = value(ca.value), vb = value(cb.value);
      var sign = h.dataset.first === "descending" ? 1 : -1, lead = sign * (va - vb);
      var line = make("tr", {}, [make("th", { scope: "row", text: h.dataset.title + unit })]);
      [[va, ca, lead > 0], [vb, cb, lead < 0]].forEach(function (x) {
        var td = make("td", { class: "num" + (x[2] ? " best" : ""), text: number(x[0], places) });
        td.appendChild(make("span", { class: "small", text: span(value(x[1].low), value(x[1].high), places) }));
        line.appendChild(td);
      });
      line.appendChild(make("td", { class: "num", text: (va > vb ? "+" : "") + number(va - vb, places) }));
      line.appendChild(make("td", { class: "num wins", "data-wins": h.dataset.metric, text: "…" }));
      rowsOut.appendChild(line);
    });
    panel.appendChild(make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Comparison" }, [out]));
    wins(chosen);
  }

  var perCase = null;

  function wins(chosen) {
    if (!board.tools.dataset.cases) return;
    perCase = perCase || radbench.load("cases", board.tools.dataset.cases);
    perCase.then(function (data) {
      metrics.forEach(function (h, m) {
        var target = panel.querySelector('[data-wins="' + h.dataset.metric + '"]');
        if (!target || picks().join() !== chosen.join()) return;
        var a = data[chosen[0]], b = data[chosen[1]];
        if (!a || !b || !a[m] || !b[m]) { target.textContent = "—"; return; }
        var sign = h.dataset.first === "descending" ? 1 : -1, first = 0, second = 0, both = 0;
        a[m].forEach(function (v, i) {
          if (v === null || b[m][i] === null) return;
          var d = sign * (value(v) - value(b[m][i]));
          both += 1;
          if (d > 0) first += 1; else if (d < 0) second += 1;
        });
        target.textContent = both ? first + " : " + second + " of " + both : "—";
      });
    }, function () { perCase = null; });
  }

  document.addEventListener("radbench:values", compare);
  board.panel = panel;
  board.picks = picks;
  board.addPicks = addPicks;
  board.compare = compare;
})();
