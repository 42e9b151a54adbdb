// All rows of a board that stands on several pages, brought together when a tool needs them.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var make = radbench.dom.make, body = board.body, tools = board.tools, metrics = board.metrics;
  var rows = board.rows, row = board.row, cell = board.cell, fill = board.fill;

  var complete = rows().length >= board.total;

  function all() {
    if (complete || !tools.dataset.rows) return Promise.resolve();
    return radbench.load("rows", tools.dataset.rows).then(function (data) {
      var model = body.rows[0];
      data.rows.forEach(function (item) {
        if (row(item.name)) return;
        var r = model.cloneNode(true);
        r.id = "s-" + item.name;
        r.dataset.name = item.name;
        r.dataset.kind = item.kind;
        r.dataset.tied = item.tiedWith;
        r.classList.remove("picked");
        var rank = r.cells[0];
        rank.dataset.value = String(item.rank);
        rank.textContent = "";
        rank.appendChild(make("span", { class: "value", text: item.rankText }));
        if (item.rankSpan !== item.rankText) rank.appendChild(make("span", { class: "small", text: item.rankSpan }));
        var head = r.cells[1];
        head.textContent = "";
        var link = make("a", { href: "submissions/" + item.name + "/index.html", text: item.title });
        head.appendChild(link);
        head.appendChild(make("span", { class: "small", text: item.about }));
        if (item.tied) head.appendChild(make("span", { class: "small tied", text: item.tied }));
        item.flags.forEach(function (flag) {
          head.appendChild(make("span", { class: "small flag" }, [make("strong", { text: "Note:" }), document.createTextNode(" " + flag)]));
        });
        metrics.forEach(function (h, i) { fill(cell(r, h.dataset.metric), h, item.values[i]); });
        var cases = cell(r, "failed"), time = cell(r, "time");
        cases.dataset.value = String(item.failed);
        cases.textContent = item.valid + " / ";
        cases.appendChild(item.failed ? make("strong", { class: "failed", text: String(item.failed) }) : document.createTextNode("0"));
        time.dataset.value = item.seconds === null ? "" : String(item.seconds);
        time.textContent = item.secondsText;
        body.appendChild(r);
      });
      complete = true;
      var pager = document.querySelector(".pager");
      if (pager) pager.hidden = true;
      document.dispatchEvent(new CustomEvent("radbench:rows"));
    });
  }

  board.all = radbench.all = all; // sort.js asks for it too
})();
