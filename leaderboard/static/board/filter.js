// Which rows and which columns are shown.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, rows = board.rows, heads = board.heads, metrics = board.metrics;
  var count = board.count = radbench.dom.make("p", { class: "count", role: "status" });

  function filter() {
    var words = (state.q || "").toLowerCase().split(/\s+/).filter(Boolean);
    var kinds = state.kind ? state.kind.split(",") : null;
    var shown = 0;
    rows().forEach(function (r) {
      var text = r.querySelector("th").textContent.toLowerCase();
      var keep = words.every(function (w) { return text.indexOf(w) >= 0; }) && (!kinds || kinds.indexOf(r.dataset.kind) >= 0);
      r.hidden = !keep;
      shown += keep ? 1 : 0;
    });
    count.textContent = shown + " of " + board.total + " rows";
    dim();
  }

  function dim() {
    var visible = {};
    rows().forEach(function (r) { visible[r.dataset.name] = !r.hidden; });
    Array.prototype.forEach.call(document.querySelectorAll(".point"), function (p) {
      p.classList.toggle("dim", visible[p.dataset.name] === false);
    });
  }

  function columns() {
    var chosen = state.metrics ? state.metrics.split(",") : null;
    heads.forEach(function (head, index) {
      if (metrics.indexOf(head) < 0) return;
      var hide = !!chosen && chosen.indexOf(head.dataset.metric) < 0;
      head.hidden = hide;
      rows().forEach(function (r) { r.cells[index].hidden = hide; });
    });
  }

  board.filter = filter;
  board.columns = columns;
})();
