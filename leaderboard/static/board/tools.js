// The board's tools, put together: search, kinds of model, choice of metrics and of a subgroup, comparison of two rows, axes of
// the charts, all of it kept in the address. Without JavaScript nothing of this is shown, and the page says the same.
// #sort=mae:ascending&q=net&kind=learned,generative&metrics=mae,ssim&group=2&compare=a,b&x=mae&y=ssim
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, set = radbench.address.set;
  var make = radbench.dom.make, check = radbench.dom.check, chooser = radbench.dom.chooser;
  var tools = board.tools, table = board.table, total = board.total, metrics = board.metrics, rows = board.rows;
  var all = board.all, columns = board.columns, subgroup = board.subgroup, groups = board.groups, note = board.note;

  var KINDS = { traditional: "Classical", learned: "Learned", generative: "Generative", other: "Other" };

  function build() {
    var search = make("input", { type: "search", value: state.q || "", size: "14" });
    search.addEventListener("input", function () { set("q", search.value.trim()); all().then(refresh); });
    tools.appendChild(make("label", { text: "Find " }, [search]));
    var present = Object.keys(KINDS).filter(function (k) { return total > rows().length || rows().some(function (r) { return r.dataset.kind === k; }); });
    if (present.length > 1) {
      var field = make("fieldset", {}, [make("legend", { text: "Models" })]);
      present.forEach(function (kind) {
        var on = !state.kind || state.kind.split(",").indexOf(kind) >= 0;
        field.appendChild(check(KINDS[kind], on, function (checked) {
          var now = (state.kind ? state.kind.split(",") : present.slice()).filter(function (k) { return k !== kind; });
          if (checked) now.push(kind);
          set("kind", now.length === present.length ? "" : present.filter(function (k) { return now.indexOf(k) >= 0; }).join(",") || "none");
          all().then(refresh);
        }));
      });
      tools.appendChild(field);
    }
    if (metrics.length > 1) {
      var list = make("div");
      var details = make("details", {}, [make("summary", { text: "Metrics" }), list]);
      metrics.forEach(function (head) {
        var on = !state.metrics || state.metrics.split(",").indexOf(head.dataset.metric) >= 0;
        list.appendChild(check(head.dataset.title, on, function (checked) {
          var ids = metrics.map(function (h) { return h.dataset.metric; });
          var now = (state.metrics ? state.metrics.split(",") : ids.slice()).filter(function (m) { return m !== head.dataset.metric; });
          if (checked) now.push(head.dataset.metric);
          set("metrics", now.length === ids.length ? "" : ids.filter(function (m) { return now.indexOf(m) >= 0; }).join(",") || "none");
          columns();
        }));
      });
      details.addEventListener("keydown", function (event) { if (event.key === "Escape") { details.open = false; details.firstChild.focus(); } });
      document.addEventListener("click", function (event) { if (!details.contains(event.target)) details.open = false; });
      tools.appendChild(details);
    }
    if (groups.length) {
      var options = [["", "All cases"]].concat(groups.map(function (g) { return [g.id, g.title + " (n = " + g.n + ")"]; }));
      tools.appendChild(chooser("Cases", options, state.group, function (v) { set("group", v); all().then(subgroup); }));
    }
    var reset = make("button", { type: "button", class: "plain-button", text: "Reset" });
    reset.addEventListener("click", function () {
      history.replaceState(null, "", location.pathname + location.search);
      location.reload();
    });
    tools.appendChild(reset);
    tools.appendChild(board.count);
    tools.hidden = false;
    tools.insertAdjacentElement("afterend", note);
    note.insertAdjacentElement("afterend", board.panel);
  }

  function refresh() {
    board.addPicks();
    columns();
    board.filter();
    board.compare();
  }

  document.addEventListener("radbench:sort", function (event) {
    if (event.detail.table !== table) return;
    set("sort", event.detail.direction ? event.detail.metric + ":" + event.detail.direction : "");
  });
  build();
  var scatter = document.getElementById("scatter");
  var drawn = metrics.filter(function (h) { return h.dataset.low; });
  if (scatter && drawn.length > 1) board.plot("scatter", "x", "y", drawn[0].dataset.metric, drawn[1].dataset.metric, true);
  if (drawn.length) board.plot("cost", "", "cost", "time", drawn[0].dataset.metric, false);
  board.distributions();
  refresh();
  var wants = state.q || state.kind || state.group || state.sort || (state.compare && board.picks().length < 2);
  (wants ? all() : Promise.resolve()).then(function () {
    refresh();
    if (state.sort) document.dispatchEvent(new CustomEvent("radbench:restore", { detail: { table: table, sort: state.sort } }));
    return state.group ? subgroup() : null;
  });
})();
