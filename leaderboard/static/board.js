// The board's tools: search, kinds of model, choice of metrics and of a subgroup, comparison of two rows, axes of the charts,
// all of it kept in the address. Without JavaScript nothing of this is shown, and the page says the same.
(function () {
  "use strict";

  var tools = document.querySelector(".tools");
  var table = document.querySelector("table.board");
  if (!tools || !table) return;
  var body = table.tBodies[0];
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  var metrics = heads.filter(function (h) { return h.dataset.metric && h.classList.contains("metric"); });
  var total = Number(tools.dataset.total);
  var state = read();

  // ---- the address: #sort=mae:ascending&q=net&kind=learned,generative&metrics=mae,ssim&group=2&compare=a,b&x=mae&y=ssim ----

  function read() {
    var found = {};
    var text = location.hash.slice(1);
    if (text.indexOf("=") < 0) return found;
    text.split("&").forEach(function (part) {
      var at = part.indexOf("=");
      if (at > 0) {
        try { found[part.slice(0, at)] = decodeURIComponent(part.slice(at + 1)); } catch (error) { /* not ours */ }
      }
    });
    return found;
  }

  function write() {
    var text = Object.keys(state).filter(function (key) { return state[key]; }).sort().map(function (key) {
      return key + "=" + encodeURIComponent(state[key]).replace(/%2C/g, ",").replace(/%3A/g, ":");
    }).join("&");
    if (text === location.hash.slice(1)) return;
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function set(key, value) {
    if (value) state[key] = value; else delete state[key];
    write();
  }

  // ---- small helpers ----

  function make(tag, attributes, children) {
    var node = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      if (name === "text") node.textContent = attributes[name]; else node.setAttribute(name, attributes[name]);
    });
    (children || []).forEach(function (child) { node.appendChild(child); });
    return node;
  }

  function option(value, text, chosen) {
    var node = make("option", { value: value, text: text });
    node.selected = value === chosen;
    return node;
  }

  function chooser(label, options, chosen, changed) {
    var select = make("select", {}, options.map(function (o) { return option(o[0], o[1], chosen); }));
    select.addEventListener("change", function () { changed(select.value); });
    return make("label", { text: label + " " }, [select]);
  }

  function check(label, on, changed) {
    var box = make("input", { type: "checkbox" });
    box.checked = on;
    box.addEventListener("change", function () { changed(box.checked); });
    return make("label", {}, [box, document.createTextNode(label)]);
  }

  function number(value, places) {
    if (value !== value) return "—";
    if (!isFinite(value)) return value > 0 ? "∞" : "−∞";
    var text = value.toFixed(places);
    if (Number(text) === 0) text = text.replace("-", "");
    return text.replace("-", "−");
  }

  function span(low, high, places) {
    return number(low, places) + (low < 0 || high < 0 ? " to " : "–") + number(high, places);
  }

  function value(text) {
    return text === "inf" ? Infinity : text === "-inf" ? -Infinity : text === "" || text === undefined ? NaN : Number(text);
  }

  function coordinate(v) { return String(Math.round(v * 100) / 100); }

  // Data that only some readers need come as scripts, which also load where a page is opened from disk.
  var waiting = {};
  window.radbench = { receive: function (key, data) { if (waiting[key]) waiting[key](data); } };

  function load(key, address) {
    return new Promise(function (done, failed) {
      var script = make("script", { src: address });
      waiting[key] = done;
      script.addEventListener("error", failed);
      document.head.appendChild(script);
    });
  }

  // ---- cells ----

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

  // ---- all rows of a long board ----

  var complete = rows().length >= total;

  function all() {
    if (complete || !tools.dataset.rows) return Promise.resolve();
    return load("rows", tools.dataset.rows).then(function (data) {
      var model = body.rows[0], base = "";
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
        var link = make("a", { href: base + "submissions/" + item.name + "/index.html", text: item.title });
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

  // ---- filter ----

  var KINDS = { traditional: "Classical", learned: "Learned", generative: "Generative", other: "Other" };

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
    count.textContent = shown + " of " + total + " rows";
    dim();
  }

  function dim() {
    var visible = {};
    rows().forEach(function (r) { visible[r.dataset.name] = !r.hidden; });
    Array.prototype.forEach.call(document.querySelectorAll(".point"), function (p) {
      p.classList.toggle("dim", visible[p.dataset.name] === false);
    });
  }

  // ---- which metrics are shown ----

  function columns() {
    var chosen = state.metrics ? state.metrics.split(",") : null;
    heads.forEach(function (head, index) {
      if (metrics.indexOf(head) < 0) return;
      var hide = !!chosen && chosen.indexOf(head.dataset.metric) < 0;
      head.hidden = hide;
      rows().forEach(function (r) { r.cells[index].hidden = hide; });
    });
  }

  // ---- a subgroup instead of all cases ----

  var groups = tools.dataset.groups ? JSON.parse(tools.dataset.groups) : [];
  var original = {};

  function subgroup() {
    var chosen = groups.filter(function (g) { return g.id === state.group; })[0];
    rows().forEach(function (r) {
      if (original[r.dataset.name]) return;
      original[r.dataset.name] = metrics.map(function (h) {
        var c = cell(r, h.dataset.metric);
        return [c.dataset.value, c.dataset.low, c.dataset.high];
      });
    });
    if (!chosen) { put(original); note.hidden = true; return Promise.resolve(); }
    return load(chosen.id, tools.dataset.base + chosen.file).then(function (data) {
      put(data);
      note.hidden = false;
      note.textContent = "Shown: " + chosen.title + " alone, n = " + chosen.n + ". Ranks and ties are those over all cases.";
    });
  }

  function put(values) {
    rows().forEach(function (r) {
      var own = values[r.dataset.name] || [];
      metrics.forEach(function (h, i) { fill(cell(r, h.dataset.metric), h, own[i] || [null]); });
    });
    plots.forEach(function (p) { p(); });
  }

  // ---- comparison of two rows ----

  var panel = make("section", { class: "compare", "aria-label": "Comparison of two rows", "aria-live": "polite" });
  panel.hidden = true;

  function picks() { return state.compare ? state.compare.split(",").filter(row) : []; }

  function addPicks() {
    rows().forEach(function (r) {
      var head = r.querySelector("th");
      if (head.querySelector(".pick")) return;
      var box = check("compare", picks().indexOf(r.dataset.name) >= 0, function (on) {
        var chosen = picks().filter(function (n) { return n !== r.dataset.name; });
        if (on) chosen.push(r.dataset.name);
        set("compare", chosen.slice(-2).join(","));
        compare();
      });
      box.className = "pick";
      box.firstChild.setAttribute("aria-label", "Compare " + title(r));
      head.appendChild(box);
    });
  }

  function compare() {
    var chosen = picks();
    rows().forEach(function (r) {
      var on = chosen.indexOf(r.dataset.name) >= 0, box = r.querySelector(".pick input");
      r.classList.toggle("picked", on);
      if (box) box.checked = on;
    });
    panel.textContent = "";
    panel.hidden = chosen.length !== 2;
    if (panel.hidden) return;
    var a = row(chosen[0]), b = row(chosen[1]);
    var tied = (a.dataset.tied || "").split(" ").indexOf(chosen[1]) >= 0;
    panel.appendChild(make("h3", { text: title(a) + " against " + title(b) }));
    panel.appendChild(make("p", { text: tied
      ? "The data do not settle which of the two ranks higher."
      : "Rank " + Number(a.cells[0].dataset.value) + " against rank " + Number(b.cells[0].dataset.value) + "; the data settle this order." }));
    var out = make("table", {}), top = make("tr"), rowsOut = make("tbody");
    ["Metric", title(a), title(b), "Difference", "Better case by case"].forEach(function (text, i) {
      top.appendChild(make("th", { scope: "col", class: i ? "num" : "", text: text }));
    });
    out.appendChild(make("caption", { text: "Mean over the cases with interval; the difference is the first less the second" }));
    out.appendChild(make("thead", {}, [top]));
    out.appendChild(rowsOut);
    metrics.forEach(function (h) {
      var places = Number(h.dataset.places), unit = h.dataset.unit ? " [" + h.dataset.unit + "]" : "";
      var ca = cell(a, h.dataset.metric).dataset, cb = cell(b, h.dataset.metric).dataset;
      var va = value(ca.value), vb = value(cb.value);
      var sign = h.dataset.first === "descending" ? 1 : -1, lead = sign * (va - vb);
      var line = make("tr", {}, [make("th", { scope: "row", text: h.dataset.title + unit })]);
      [[va, ca, lead > 0], [vb, cb, lead < 0]].forEach(function (x) {
        var td = make("td", { class: "num" + (x[2] ? " best" : ""), text: number(x[0], places) });
        td.appendChild(make("span", { class: "small", text: span(value(x[1].low), value(x[1].high), places) }));
        line.appendChild(td);
      });
      line.appendChild(make("td", { class: "num", text: (va > vb ? "+" : "") + number(va - vb, places) }));
      line.appendChild(make("td", { class: "num wins", "data-wins": h.dataset.metric, text: "…" }));
      rowsOut.appendChild(line);
    });
    panel.appendChild(make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Comparison" }, [out]));
    wins(chosen);
  }

  var perCase = null;

  function wins(chosen) {
    if (!tools.dataset.cases) return;
    perCase = perCase || load("cases", tools.dataset.cases);
    perCase.then(function (data) {
      metrics.forEach(function (h, m) {
        var target = panel.querySelector('[data-wins="' + h.dataset.metric + '"]');
        if (!target || picks().join() !== chosen.join()) return;
        var a = data[chosen[0]], b = data[chosen[1]];
        if (!a || !b || !a[m] || !b[m]) { target.textContent = "—"; return; }
        var sign = h.dataset.first === "descending" ? 1 : -1, first = 0, second = 0, both = 0;
        a[m].forEach(function (v, i) {
          if (v === null || b[m][i] === null) return;
          var d = sign * (value(v) - value(b[m][i]));
          both += 1;
          if (d > 0) first += 1; else if (d < 0) second += 1;
        });
        target.textContent = both ? first + " : " + second + " of " + both : "—";
      });
    }, function () { perCase = null; });
  }

  // ---- charts: choice of axes and of the metric shown case by case ----

  var plots = [];

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
      var steps = high / low < 200 ? [1, 2, 5] : [1];
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
    plots.push(move);
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
      var w = 6.6 * s.label.textContent.length, best = null;
      [[9, 4, "start", [s.x + 9, s.y - 8, s.x + 9 + w, s.y + 6]], [-9, 4, "end", [s.x - 9 - w, s.y - 8, s.x - 9, s.y + 6]],
        [0, -11, "middle", [s.x - w / 2, s.y - 23, s.x + w / 2, s.y - 9]], [0, 20, "middle", [s.x - w / 2, s.y + 8, s.x + w / 2, s.y + 22]]
      ].forEach(function (o) {
        var b = o[3], cost = 10 * (Math.max(0, 66 - b[0]) + Math.max(0, b[2] - 500) + Math.max(0, 16 - b[1]));
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

  // ---- put it together ----

  var count = make("p", { class: "count", role: "status" });
  var note = make("p", { class: "small", role: "status" });
  note.hidden = true;

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
    tools.appendChild(count);
    tools.hidden = false;
    tools.insertAdjacentElement("afterend", note);
    note.insertAdjacentElement("afterend", panel);
  }

  function refresh() {
    addPicks();
    columns();
    filter();
    compare();
  }

  document.addEventListener("radbench:sort", function (event) {
    if (event.detail.table !== table) return;
    set("sort", event.detail.direction ? event.detail.metric + ":" + event.detail.direction : "");
  });
  window.radbench.all = all;

  build();
  var scatter = document.getElementById("scatter");
  var drawn = metrics.filter(function (h) { return h.dataset.low; });
  if (scatter && drawn.length > 1) plot("scatter", "x", "y", drawn[0].dataset.metric, drawn[1].dataset.metric, true);
  if (drawn.length) plot("cost", "", "cost", "time", drawn[0].dataset.metric, false);
  distributions();
  refresh();
  var wants = state.q || state.kind || state.group || state.sort || (state.compare && picks().length < 2);
  (wants ? all() : Promise.resolve()).then(function () {
    refresh();
    if (state.sort) document.dispatchEvent(new CustomEvent("radbench:restore", { detail: { table: table, sort: state.sort } }));
    return state.group ? subgroup() : null;
  });
  window.addEventListener("hashchange", function () {
    if (location.hash.indexOf("=") >= 0) location.reload();
  });
})();
