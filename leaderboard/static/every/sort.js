// Sorting of tables by column. Without JavaScript the tables stand as they are, in the board's order; the buttons that
// sort are made here, so that no dead control is ever shown. First press: best (or first) on top; second: reversed;
// third: the order of the page again. The board keeps the choice in the address (board.js listens and restores).
(function () {
  "use strict";

  function key(row, index, kind) {
    var cell = row.cells[index];
    var text = cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent.trim();
    if (kind !== "number") return text.toLowerCase();
    text = text.replace("−", "-").replace("∞", "inf");
    if (text === "inf") return Infinity;
    if (text === "-inf") return -Infinity;
    return text === "" ? NaN : Number(text);
  }

  function compare(a, b, sign) {
    // What has no number stays at the end, whichever way the column is sorted.
    if (a !== a || b !== b) return a !== a ? (b !== b ? 0 : 1) : -1;
    if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
    return a < b ? -sign : a > b ? sign : 0;
  }

  function prepare(table) {
    var body = table.tBodies[0];
    var original = Array.prototype.slice.call(body.rows);
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);

    function sort(head, direction) {
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      // Rows that came later, of the further pages of a long board, keep their place behind the first ones.
      Array.prototype.forEach.call(body.rows, function (row) { if (original.indexOf(row) < 0) original.push(row); });
      var rows = original.slice();
      if (direction) {
        head.setAttribute("aria-sort", direction);
        var sign = direction === "ascending" ? 1 : -1, index = head.cellIndex, kind = head.dataset.sort;
        var keyed = rows.map(function (row) { return [key(row, index, kind), row]; });
        keyed.sort(function (a, b) { return compare(a[0], b[0], sign); });
        rows = keyed.map(function (pair) { return pair[1]; });
      }
      rows.forEach(function (row) { body.appendChild(row); });
      document.dispatchEvent(new CustomEvent("radbench:sort", { detail: { table: table, metric: head.dataset.metric, direction: direction } }));
    }

    heads.forEach(function (head) {
      if (!head.dataset.sort) return;
      var button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var first = head.dataset.first;
        var second = first === "ascending" ? "descending" : "ascending";
        var now = head.getAttribute("aria-sort");
        var next = now === first ? second : now === second ? null : first;
        var ready = window.radbench && window.radbench.all && table.classList.contains("board") ? window.radbench.all() : null;
        if (ready) ready.then(function () { sort(head, next); }); else sort(head, next);
      });
    });

    document.addEventListener("radbench:restore", function (event) {
      if (event.detail.table !== table) return;
      var parts = event.detail.sort.split(":");
      var head = heads.filter(function (h) { return h.dataset.metric === parts[0]; })[0];
      if (head && (parts[1] === "ascending" || parts[1] === "descending")) sort(head, parts[1]);
    });
  }

  Array.prototype.forEach.call(document.querySelectorAll("table.sortable"), prepare);
})();
