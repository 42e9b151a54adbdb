// A subgroup of the cases instead of all of them. Charts that show the same values listen to `radbench:values`.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, metrics = board.metrics, rows = board.rows, cell = board.cell, fill = board.fill;
  var note = board.note = radbench.dom.make("p", { class: "small", role: "status" });
  note.hidden = true;
  var groups = board.tools.dataset.groups ? JSON.parse(board.tools.dataset.groups) : [];
  var original = {}, scope = board.table.querySelector("caption .scope"), scopeOfAll = scope ? scope.textContent : "";
  board.shown = null; // the group whose values are in the table; none: all cases

  function subgroup() {
    var chosen = groups.filter(function (g) { return g.id === state.group; })[0];
    rows().forEach(function (r) {
      if (original[r.dataset.name]) return;
      original[r.dataset.name] = metrics.map(function (h) {
        var c = cell(r, h.dataset.metric);
        return [c.dataset.value, c.dataset.low, c.dataset.high];
      });
    });
    if (!chosen) { show(null); put(original); note.hidden = true; return Promise.resolve(); }
    return radbench.load(chosen.id, board.tools.dataset.base + chosen.file).then(function (data) {
      show(chosen);
      put(data);
      note.hidden = false;
      note.textContent = "Shown: " + chosen.title + " alone, n = " + chosen.n + ". Ranks and ties are those over all cases.";
    });
  }

  // The caption must not say "all cases" above the numbers of a few.
  function show(chosen) {
    board.shown = chosen;
    if (scope) scope.textContent = chosen ? chosen.title + " alone, n = " + chosen.n + " of the " + scope.dataset.on : scopeOfAll;
  }

  function put(values) {
    rows().forEach(function (r) {
      var own = values[r.dataset.name] || [];
      metrics.forEach(function (h, i) { fill(cell(r, h.dataset.metric), h, own[i] || [null]); });
    });
    document.dispatchEvent(new CustomEvent("radbench:values"));
  }

  board.groups = groups;
  board.subgroup = subgroup;
})();
