// What is drawn over the slices of the viewer: contours of labels, rings of nodules, signs of marks. Colours, line styles and
// signs are those of the picture strips (leaderboard/ink.py); each line has a dark rim, so that it is seen on any tissue.
(function () {
  "use strict";

  var REFERENCE = "#e69f00", PREDICTION = "#56b4e9", FALSE = "#f0e442", PALE = "#c8cdd2";
  var DASHES = [[], [10, 6], [3, 5], [12, 5, 3, 5]];

  // Border of a label as closed ways along the edges of its voxels, each a list of [column, row] corners.
  function trace(slice, label) {
    var w = slice.columns, h = slice.rows, v = slice.values, next = {};
    function has(c, r) { return c >= 0 && r >= 0 && c < w && r < h && v[r * w + c] === label; }
    function edge(c1, r1, c2, r2) {
      var key = r1 * (w + 1) + c1;
      (next[key] = next[key] || []).push(r2 * (w + 1) + c2);
    }
    for (var r = 0; r < h; r += 1) {
      for (var c = 0; c < w; c += 1) {
        if (v[r * w + c] !== label) continue;
        // The label lies on the right of each edge, so edges join to ways around it.
        if (!has(c, r - 1)) edge(c, r, c + 1, r);
        if (!has(c + 1, r)) edge(c + 1, r, c + 1, r + 1);
        if (!has(c, r + 1)) edge(c + 1, r + 1, c, r + 1);
        if (!has(c - 1, r)) edge(c, r + 1, c, r);
      }
    }
    var ways = [];
    Object.keys(next).forEach(function (first) {
      while (next[first] && next[first].length) {
        var at = Number(first), way = [];
        do {
          way.push([at % (w + 1), Math.floor(at / (w + 1))]);
          at = next[at].pop();
        } while (at !== Number(first));
        ways.push(way);
      }
    });
    return ways;
  }

  function stroke(context, colour, width, dash, path) {
    [["rgba(0,0,0,0.6)", width + 2], [colour, width]].forEach(function (pen) {
      context.beginPath();
      path();
      context.setLineDash(dash);
      context.strokeStyle = pen[0];
      context.lineWidth = pen[1];
      context.lineJoin = "round";
      context.stroke();
    });
    context.setLineDash([]);
  }

  function contours(canvas, slice, labels, colour, width) {
    var context = canvas.getContext("2d"), sx = canvas.width / slice.columns, sy = canvas.height / slice.rows;
    labels.forEach(function (label, i) {
      trace(slice, label[0]).forEach(function (way) {
        stroke(context, colour, width, DASHES[i % DASHES.length], function () {
          way.forEach(function (p, k) { context[k ? "lineTo" : "moveTo"](p[0] * sx, p[1] * sy); });
          context.closePath();
        });
      });
    });
  }

  // Begins at x; where it would leave the canvas it ends at `before` instead.
  function word(context, text, x, before, y, colour) {
    context.font = "600 22px system-ui, sans-serif";
    context.textBaseline = "middle";
    var wide = context.measureText(text).width;
    if (x + wide > context.canvas.width - 3) x = Math.max(3, before - wide);
    context.lineWidth = 4;
    context.strokeStyle = "rgba(0,0,0,0.85)";
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  // `where` gives x, y in pixels of the canvas, the distance from the slice in mm, and pixels a mm.
  function rings(canvas, findings, hit, where) {
    var context = canvas.getContext("2d");
    findings.forEach(function (f) {
      var at = where(f.at);
      if (at.distance >= f.radius) return;
      var radius = Math.sqrt(f.radius * f.radius - at.distance * at.distance) * at.scale;
      var lost = hit && f.number && hit.indexOf(f.number) < 0;
      stroke(context, f.number ? REFERENCE : PALE, f.number ? 3 : 2, f.number ? (lost ? DASHES[1] : []) : DASHES[2], function () {
        context.arc(at.x, at.y, Math.max(radius, 1), 0, 2 * Math.PI);
      });
      if (f.number) word(context, f.number + ": " + (2 * f.radius).toFixed(1) + " mm", at.x + radius + 8, at.x - radius - 8, at.y - 18, REFERENCE);
    });
  }

  function marks(canvas, list, where) {
    var context = canvas.getContext("2d");
    list.forEach(function (m) {
      var at = where(m.at);
      if (at.distance > m.reach) return;
      var colour = m.kind === "hit" ? PREDICTION : m.kind === "false" ? FALSE : PALE, s = 10;
      stroke(context, colour, 3, [], function () {
        if (m.kind === "hit") {
          context.moveTo(at.x - s, at.y); context.lineTo(at.x + s, at.y);
          context.moveTo(at.x, at.y - s); context.lineTo(at.x, at.y + s);
        } else if (m.kind === "false") {
          context.moveTo(at.x, at.y - s); context.lineTo(at.x + s, at.y + 0.8 * s); context.lineTo(at.x - s, at.y + 0.8 * s); context.closePath();
        } else {
          context.rect(at.x - 0.7 * s, at.y - 0.7 * s, 1.4 * s, 1.4 * s);
        }
      });
      word(context, m.p >= 0.995 && m.p < 1 ? ">0.99" : m.p.toFixed(2), at.x + 15, at.x - 15, at.y + 14, colour);
    });
  }

  window.radbench.overlays = { contours: contours, rings: rings, marks: marks, trace: trace, REFERENCE: REFERENCE, PREDICTION: PREDICTION };
})();
