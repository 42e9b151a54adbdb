// The values of single cases: one metric at a time, to be chosen.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, set = radbench.address.set, chooser = radbench.dom.chooser;

  function distributions() {
    var parts = Array.prototype.slice.call(document.querySelectorAll(".distribution-of"));
    if (parts.length < 2) return;
    var box = parts[0].closest("figure").querySelector(".choose");
    function show(id) {
      if (!parts.some(function (p) { return p.dataset.metric === id; })) id = parts[0].dataset.metric;
      parts.forEach(function (p) {
        p.hidden = p.dataset.metric !== id;
        if (p.tagName === "DETAILS") { p.open = true; p.querySelector("summary").hidden = true; }
      });
    }
    box.appendChild(chooser("Metric", parts.map(function (p) { return [p.dataset.metric, p.dataset.title]; }), state.cases,
      function (v) { set("cases", v === parts[0].dataset.metric ? "" : v); show(v); }));
    show(state.cases);
  }

  board.distributions = distributions;
})();
