// The scatter plots: their axes can be chosen, and their signs move as leaderboard/charts/scatter.py would have put them.
(function () {
  "use strict";

  var radbench = window.radbench, board = radbench.board;
  if (!board) return;
  var state = radbench.address.state, set = radbench.address.set, chooser = radbench.dom.chooser;
  var number = radbench.numbers.number, value = radbench.numbers.value, coordinate = radbench.numbers.coordinate;
  var heads = board.heads, metrics = board.metrics, row = board.row, cell = board.cell, draw = board.draw;

  function nice(size) {
    var power = Math.pow(10, Math.floor(Math.log10(size)));
    return power * [1, 2, 5, 10].filter(function (m) { return power * m >= size * (1 - 1e-9); })[0];
  }

  function axis(head, start, end) {
    var low = Number(head.dataset.low), high = Number(head.dataset.high), log = "log" in head.dataset;
    function at(v) {
      var part = log ? Math.log(Math.max(v, 1e-300) / low) / Math.log(high / low) : isFinite(v) ? (v - low) / (high - low) : v > 0 ? 1 : 0;
      return start + (end - start) * Math.min(Math.max(part, 0), 1);
    }
    var ticks = [];
    if (log) {
      var steps = high / low <= 5 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : high / low < 200 ? [1, 2, 5] : [1];
      for (var p = Math.floor(Math.log10(low)) - 1; p <= Math.ceil(Math.log10(high)); p += 1) {
        steps.forEach(function (s) {
          var v = Number((s * Math.pow(10, p)).toPrecision(12));
          if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) ticks.push([v, String(v)]);
        });
      }
    } else {
      var step = nice((high - low) / 6), places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      for (var k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k += 1) {
        ticks.push([Number((k * step).toPrecision(12)), number(k * step, places)]);
      }
    }
    return { at: at, ticks: ticks, out: function (v) { var slack = 1e-9 * (high - low); return v < low - slack || v > high + slack; } };
  }

  function heading(head) {
    var better = head.dataset.first === "descending" ? "higher" : "lower";
    var name = head.dataset.title + (head.dataset.unit ? " [" + head.dataset.unit + "]" : "");
    return name + ", " + better + " is better " + (better === "higher" ? "→" : "←");
  }

  function measure(id) { return heads.filter(function (h) { return h.dataset.metric === id && h.dataset.low; })[0]; }

  function plot(id, xKey, yKey, x0, y0, xs) {
    var svg = document.getElementById(id);
    if (!svg) return;
    var drawable = metrics.filter(function (h) { return h.dataset.low; });
    var choices = drawable.map(function (h) { return [h.dataset.metric, h.dataset.title]; });
    var box = svg.closest("figure").querySelector(".choose");
    if (xs) box.appendChild(chooser("Across", choices, state[xKey] || x0, function (v) { set(xKey, v); move(); }));
    box.appendChild(chooser("Up", choices, state[yKey] || y0, function (v) { set(yKey, v); move(); }));

    function part(name, a, vertical) {
      var g = svg.querySelector("." + name), chosen = a.head, line = g.querySelector(".grid");
      Array.prototype.slice.call(g.querySelectorAll(".tick")).forEach(function (t) { t.remove(); });
      line.setAttribute("d", a.ticks.map(function (t) {
        return vertical ? "M66 " + coordinate(a.at(t[0])) + "H500" : "M" + coordinate(a.at(t[0])) + " 16V322";
      }).join(""));
      a.ticks.forEach(function (t) {
        var where = vertical ? { x: 58, y: coordinate(a.at(t[0]) + 4), "text-anchor": "end" } : { x: coordinate(a.at(t[0])), y: 340, "text-anchor": "middle" };
        draw(g, "text", "tick", where).textContent = t[1];
      });
      g.querySelector(".axis-name").textContent = heading(chosen);
    }

    function move() {
      var hx = measure(xs ? state[xKey] || x0 : x0) || measure(x0), hy = measure(state[yKey] || y0) || measure(y0);
      if (!hx || !hy) return;
      var ax = axis(hx, 66, 500), ay = axis(hy, 322, 16);
      ax.head = hx;
      ay.head = hy;
      part("x-axis", ax, false);
      part("y-axis", ay, true);
      svg.querySelector("title").textContent = hy.dataset.title + " against " + hx.dataset.title;
      Array.prototype.forEach.call(svg.querySelectorAll(".point"), function (p) {
        var r = row(p.dataset.name);
        if (!r) return;
        var cx = cell(r, hx.dataset.metric).dataset, cy = cell(r, hy.dataset.metric).dataset;
        var vx = value(cx.value), vy = value(cy.value), x = ax.at(vx), y = ay.at(vy);
        p.setAttribute("transform", "translate(" + coordinate(x) + " " + coordinate(y) + ")");
        p.classList.toggle("out", ax.out(vx) || ay.out(vy));
        p.style.display = vx === vx && vy === vy ? "" : "none";
        function off(a, text, own, centre) { var v = value(text); return coordinate(a.at(v === v ? v : own) - centre); }
        p.querySelector(".whiskers").setAttribute("d",
          "M" + off(ax, cx.low, vx, x) + " 0H" + off(ax, cx.high, vx, x) + "M0 " + off(ay, cy.low, vy, y) + "V" + off(ay, cy.high, vy, y));
      });
      labels(svg);
    }
    if (state[xKey] || state[yKey]) move();
    document.addEventListener("radbench:values", move);
  }

  // Labels go where they meet the fewest others, as in charts/scatter.py.
  function labels(svg) {
    var points = Array.prototype.slice.call(svg.querySelectorAll(".point")).filter(function (p) { return p.style.display !== "none"; });
    var spots = points.map(function (p) {
      var t = /translate\(([-\d.]+) ([-\d.]+)\)/.exec(p.getAttribute("transform"));
      return { p: p, x: Number(t[1]), y: Number(t[2]), label: p.querySelector(".label") };
    }).filter(function (s) { return s.label; }).reverse();
    var boxes = spots.map(function (s) { return [s.x - 6, s.y - 6, s.x + 6, s.y + 6]; });
    spots.forEach(function (s) {
      var w = 6.6 * s.label.textContent.length + 4, best = null;
      [[9, 4, "start", [s.x + 9, s.y - 8, s.x + 9 + w, s.y + 6]], [-9, 4, "end", [s.x - 9 - w, s.y - 8, s.x - 9, s.y + 6]],
        [0, -11, "middle", [s.x - w / 2, s.y - 23, s.x + w / 2, s.y - 9]], [0, 20, "middle", [s.x - w / 2, s.y + 8, s.x + w / 2, s.y + 22]],
        [-9, -11, "end", [s.x - 9 - w, s.y - 23, s.x - 9, s.y - 9]], [-9, 20, "end", [s.x - 9 - w, s.y + 8, s.x - 9, s.y + 22]],
        [9, -11, "start", [s.x + 9, s.y - 23, s.x + 9 + w, s.y - 9]], [9, 20, "start", [s.x + 9, s.y + 8, s.x + 9 + w, s.y + 22]]
      ].forEach(function (o) {
        var b = o[3], cost = 200 * (Math.max(0, 66 - b[0]) + Math.max(0, b[2] - 500) + Math.max(0, 16 - b[1]));
        boxes.forEach(function (c) {
          cost += Math.max(0, Math.min(b[2], c[2]) - Math.max(b[0], c[0])) * Math.max(0, Math.min(b[3], c[3]) - Math.max(b[1], c[1]));
        });
        if (!best || cost < best.cost) best = { cost: cost, option: o };
      });
      boxes.push(best.option[3]);
      s.label.setAttribute("x", best.option[0]);
      s.label.setAttribute("y", best.option[1]);
      s.label.setAttribute("text-anchor", best.option[2]);
    });
  }

  board.plot = plot;
})();
