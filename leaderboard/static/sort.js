// Sorting of tables by column. Without JavaScript the tables stand as they are, in the board's order; the buttons that
// sort are made here, so that no dead control is ever shown. First press: best (or first) on top; second: reversed;
// third: the order of the page again.
(function () {
  "use strict";

  function key(row, index, kind) {
    var cell = row.cells[index];
    var text = cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent.trim();
    if (kind !== "number") return text.toLowerCase();
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
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        var rows = original.slice();
        if (next) {
          head.setAttribute("aria-sort", next);
          var index = head.cellIndex;
          var sign = next === "ascending" ? 1 : -1;
          rows.sort(function (a, b) { return compare(key(a, index, head.dataset.sort), key(b, index, head.dataset.sort), sign); });
        }
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  }

  Array.prototype.forEach.call(document.querySelectorAll("table.sortable"), prepare);
})();
