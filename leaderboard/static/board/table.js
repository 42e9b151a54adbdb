// The board's table: its rows and cells, and how a value with its interval is put into a cell and drawn there.
(function () {
  "use strict";

  var tools = document.querySelector(".tools"), table = document.querySelector("table.board");
  if (!tools || !table) return;
  var numbers = window.radbench.numbers, value = numbers.value, coordinate = numbers.coordinate;
  var number = numbers.number, span = numbers.span;
  var body = table.tBodies[0];
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  var metrics = heads.filter(function (h) { return h.dataset.metric && h.classList.contains("metric"); });

  var PAD = 8, WIDTH = 132;

  function place(head, v) {
    var low = Number(head.dataset.low), high = Number(head.dataset.high);
    var part = isFinite(v) ? (v - low) / (high - low) : v > 0 ? 1 : 0;
    return PAD + (WIDTH - 2 * PAD) * Math.min(Math.max(part, 0), 1);
  }

  function side(head, v) {
    var low = Number(head.dataset.low), high = Number(head.dataset.high), slack = 1e-9 * (high - low);
    return v < low - slack ? "low" : v > high + slack ? "high" : "";
  }

  // Put a value with its interval into a cell of the table; [null] stands for a withheld one.
  function fill(cell, head, triple) {
    var places = Number(head.dataset.places), bar = cell.querySelector("svg.bar");
    var shown = triple && triple[0] !== null && triple[0] !== undefined;
    var v = shown ? value(triple[0]) : NaN, low = shown ? value(triple[1]) : NaN, high = shown ? value(triple[2]) : NaN;
    cell.dataset.value = shown ? String(triple[0]) : "";
    cell.dataset.low = shown ? String(triple[1]) : "";
    cell.dataset.high = shown ? String(triple[2]) : "";
    cell.querySelector(".value").textContent = shown ? number(v, places) : "withheld";
    var interval = cell.querySelector(".interval"), hidden = interval.querySelector(".hidden");
    interval.textContent = shown && low === low ? span(low, high, places) : "";
    if (hidden) interval.insertBefore(hidden, interval.firstChild);
    if (!bar) return;
    Array.prototype.slice.call(bar.querySelectorAll(".range, .dot, .beyond, .on")).forEach(function (n) { n.remove(); });
    if (!shown || !head.dataset.low) return;
    draw(bar, "line", "range", { x1: coordinate(place(head, low)), x2: coordinate(place(head, high)), y1: 8, y2: 8 });
    var out = side(head, v), end = WIDTH - PAD;
    if (out) {
      draw(bar, "path", "beyond", { d: out === "low" ? "M" + (PAD - 7) + " 8l7 -4.5v9z" : "M" + (end + 7) + " 8l-7 -4.5v9z" });
      return;
    }
    if (side(head, low) === "low") draw(bar, "path", "on", { d: "M" + (PAD - 1) + " 5l-3.5 3l3.5 3" });
    if (side(head, high) === "high") draw(bar, "path", "on", { d: "M" + (end + 1) + " 5l3.5 3l-3.5 3" });
    draw(bar, "circle", "dot", { cx: coordinate(place(head, v)), cy: 8, r: 4 });
  }

  function draw(parent, tag, kind, attributes) {
    var node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    node.setAttribute("class", kind);
    Object.keys(attributes).forEach(function (name) { node.setAttribute(name, attributes[name]); });
    parent.appendChild(node);
    return node;
  }

  function rows() { return Array.prototype.slice.call(body.rows); }

  function row(name) {
    return rows().filter(function (r) { return r.dataset.name === name; })[0];
  }

  function cell(r, metric) {
    var index = heads.findIndex(function (h) { return h.dataset.metric === metric; });
    return r.cells[index];
  }

  function title(r) { return r.querySelector("th a").textContent; }

  window.radbench.board = {
    tools: tools, table: table, body: body, heads: heads, metrics: metrics, total: Number(tools.dataset.total),
    rows: rows, row: row, cell: cell, title: title, fill: fill, draw: draw
  };
})();
