// The slice viewer of a canary case: input, reference, prediction and error side by side, linked in slice, plane, window and
// cursor; of segmentations their contours, of detections rings and marks (see overlays.js), which can be turned off. Values come
// as scripts (see leaderboard/viewer.py), so that it also works where the page is opened from disk. What is looked at is kept in
// the address.
(function () {
  "use strict";

  var radbench = window.radbench, viewer = radbench.viewer;
  if (!viewer) return;
  var host = viewer.host, spec = viewer.spec, PLANES = viewer.PLANES, cut = viewer.cut, show = viewer.show, grey = viewer.grey;
  var state = radbench.address.state, write = radbench.address.write, make = radbench.dom.make, over = radbench.overlays;

  function number(v) {
    var size = Math.abs(v), text = size >= 100 || v === Math.round(v) ? v.toFixed(0) : size >= 1 ? v.toFixed(1) : v.toPrecision(3);
    return (Number(text) === 0 ? "0" : text).replace("-", "−");
  }

  // ---- controls ----

  var controls = make("div", { class: "controls" }), panes = {}, grid = make("div", { class: "panes" });
  var readout = make("p", { class: "readout", role: "status" });
  var range = make("input", { type: "range", min: "0", step: "1" }), position = make("output");
  var low = make("input", { type: "number", "aria-label": "Lowest value shown", step: "any" });
  var high = make("input", { type: "number", "aria-label": "Highest value shown", step: "any" });
  var preset, current = null;

  function select(label, options, chosen, changed) {
    return controls.appendChild(radbench.dom.chooser(label, options, chosen, changed)).querySelector("select");
  }

  var PANES = {
    image: ["Input", "Reference", "Prediction", "Prediction − reference"],
    labels: ["Input", "Contours", "Disagreement"],
    points: ["Input", "Nodules and marks"]
  };

  function on(layer) { return (state.off || "").split(",").indexOf(layer) < 0; }

  function pair(text, fallback) {
    var parts = (text || "").split(",").map(Number);
    return parts.length === 2 && parts[1] > parts[0] ? parts : fallback;
  }

  function open() {
    host.textContent = "";
    var names = spec.models.map(function (m) { return m.name; });
    if (spec.models.length) {
      if (names.indexOf(state.model) < 0) state.model = names[0];
      select("Prediction of", spec.models.map(function (m) { return [m.name, m.title]; }), state.model, function (v) { state.model = v; render(); });
    }
    if (!PLANES[state.plane]) state.plane = spec.plane;
    var planes = spec.thin ? [spec.plane] : Object.keys(PLANES);
    if (planes.indexOf(state.plane) < 0) state.plane = spec.plane;
    if (planes.length > 1) {
      select("Plane", planes.map(function (p) { return [p, p]; }), state.plane, function (v) { state.plane = v; state.slice = ""; render(); });
    }
    range.addEventListener("input", function () { state.slice = range.value; render(); });
    controls.appendChild(make("label", { class: "slice", text: "Slice " }, [range, position]));
    if (spec.findings && spec.findings.some(function (f) { return f.number; })) {
      var nodules = spec.findings.filter(function (f) { return f.number; }).map(function (f) {
        return [String(f.number), f.number + " (" + (2 * f.radius).toFixed(1) + " mm)"];
      });
      var go = select("Go to nodule", [["", "\u2026"]].concat(nodules), "", function (v) {
        var f = spec.findings.filter(function (x) { return String(x.number) === v; })[0];
        if (f) { state.slice = String(Math.round(f.at[PLANES[state.plane].along])); render(); }
        go.value = "";
      });
    }
    if (spec.kind !== "labels") {
      var options = spec.windows.map(function (w) { return [w[1] + "," + w[2], w[0]]; });
      preset = select("Window", options.concat([["", "own"]]), "", function (v) { if (v) { state.window = v; render(); } });
      controls.appendChild(make("label", {}, [low, document.createTextNode("to"), high, document.createTextNode(spec.unit)]));
      [low, high].forEach(function (input) {
        input.addEventListener("change", function () {
          if (Number(high.value) > Number(low.value)) { state.window = Number(low.value) + "," + Number(high.value); render(); }
        });
      });
    }
    if (spec.kind === "image") {
      var limits = [spec.error[1], spec.error[1] / 2, spec.error[1] / 5, spec.error[1] * 2];
      if (!(Number(state.error) > 0)) state.error = "";
      select("Error", limits.map(function (e) { return [String(e), "±" + number(e) + (spec.unit ? " " + spec.unit : "")]; }), state.error || String(spec.error[1]),
        function (v) { state.error = v === String(spec.error[1]) ? "" : v; render(); });
    }
    if (spec.inputWindows.length) {
      var first = spec.inputWindows[0];
      select("Input window", spec.inputWindows.map(function (w) { return [w[1] + "," + w[2], w[0]]; }), state.input || first[1] + "," + first[2],
        function (v) { state.input = v === first[1] + "," + first[2] ? "" : v; render(); });
    }
    if (spec.kind !== "image") {
      var drawn = make("fieldset", {}, [make("legend", { text: spec.kind === "labels" ? "Contours" : "Signs" })]);
      [["reference", "Reference"], ["prediction", "Prediction"]].forEach(function (layer) {
        var box = radbench.dom.check(layer[1], on(layer[0]), function (checked) {
          var off = (state.off || "").split(",").filter(function (name) { return name && name !== layer[0]; });
          if (!checked) off.push(layer[0]);
          state.off = off.sort().join(",");
          render();
        });
        box.firstChild.dataset.layer = layer[0];
        drawn.appendChild(box);
      });
      controls.appendChild(drawn);
    }
    PANES[spec.kind].forEach(function (name) {
      panes[name] = viewer.pane(name);
      grid.appendChild(panes[name].node);
      attach(panes[name].canvas);
    });
    grid.classList.add("p" + PANES[spec.kind].length);
    host.appendChild(controls);
    host.appendChild(grid);
    host.appendChild(readout);
    var every = spec.every > 1 ? " Of this large volume every " + spec.every + (spec.every === 2 ? "nd" : spec.every === 3 ? "rd" : "th") + " voxel is shown." : "";
    host.appendChild(make("p", { class: "small", text: "Click an image, then turn the wheel to move through the slices; point at it to read the values. The arrow keys move the slider." + every }));
    document.addEventListener("pointerdown", function (event) { grid.classList.toggle("active", grid.contains(event.target)); });
    render();
  }

  function attach(canvas) {
    canvas.addEventListener("pointermove", function (event) {
      var box = canvas.getBoundingClientRect();
      point((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    canvas.addEventListener("pointerleave", function () { point(-1, -1); });
    canvas.addEventListener("wheel", function (event) {
      if (!grid.classList.contains("active")) return;
      event.preventDefault();
      var next = Number(range.value) + (event.deltaY > 0 ? 1 : -1);
      state.slice = String(Math.min(Math.max(next, 0), Number(range.max)));
      render();
    }, { passive: false });
  }

  function point(x, y) {
    var inside = x >= 0 && x < 1 && y >= 0 && y < 1;
    Object.keys(panes).forEach(function (name) {
      panes[name].cross.style.setProperty("--x", inside ? 100 * x + "%" : "-10%");
      panes[name].cross.style.setProperty("--y", inside ? 100 * y + "%" : "-10%");
    });
    if (!inside || !current) { readout.textContent = "\u00a0"; return; }
    var k = Math.floor(y * current.input.rows) * current.input.columns + Math.floor(x * current.input.columns);
    var unit = spec.unit ? " " + spec.unit : "", words = ["Input " + number(current.input.values[k]) + (spec.inputUnit ? " " + spec.inputUnit : "")];
    [["reference", current.reference], ["prediction", current.prediction]].forEach(function (part) {
      if (part[1]) words.push(part[0] + " " + (spec.kind === "labels" ? label(part[1].values[k]) : number(part[1].values[k]) + unit));
    });
    if (current.prediction && spec.kind === "image") {
      var error = current.prediction.values[k] - current.reference.values[k];
      words.push("error " + (error > 0 ? "+" : "") + number(error) + unit);
    }
    if (current.mask && !current.mask.values[k]) words.push("outside the mask, not scored");
    readout.textContent = words.join(" · ");
  }

  function label(value) {
    var found = spec.labels.filter(function (l) { return l[0] === value; })[0];
    return value === 0 ? "background" : found ? found[1] : "label " + value;
  }

  var turn = 0;

  function render() {
    var mine = turn += 1;
    var model = spec.models.filter(function (m) { return m.name === state.model; })[0];
    var wanted = [spec.volumes.input, spec.volumes.reference, model, spec.volumes.mask].map(function (record) {
      return record && record.key ? viewer.volume(record) : null;
    });
    readout.textContent = "Loading …";
    return Promise.all(wanted).then(function (v) {
      if (mine !== turn) return;
      draw(v[0], v[1], v[2], v[3]);
      readout.textContent = "\u00a0";
      write();
      host.dataset.ready = String(mine);
    }, function () { readout.textContent = "The images could not be loaded."; });
  }

  function draw(input, reference, prediction, mask) {
    var p = PLANES[state.plane], count = input.shape[p.along];
    range.max = String(count - 1);
    if (state.slice === "" || !(Number(state.slice) >= 0 && Number(state.slice) < count)) {
      state.slice = String(state.plane === spec.plane ? spec.slice : Math.floor(count / 2));
    }
    var index = Math.floor(Number(state.slice));
    range.value = String(index);
    position.textContent = index + 1 + " of " + count;
    function here(volume) { return volume && cut(volume, state.plane, index); }
    current = { input: here(input), reference: here(reference), prediction: here(prediction), mask: here(mask) };
    var first = spec.windows[0], w = pair(state.window, [first[1], first[2]]);
    var own = spec.inputWindows[0], wi = own ? pair(state.input, [own[1], own[2]]) : w;
    if (preset) {
      low.value = w[0];
      high.value = w[1];
      preset.value = w[0] + "," + w[1];
      if (preset.selectedIndex < 0) preset.value = "";
    }
    show(panes.Input, current.input, function (image) { grey(image, current.input, wi[0], wi[1]); });
    if (spec.kind === "labels") { labels(wi); return; }
    if (spec.kind === "points") { points(w); return; }
    show(panes.Reference, current.reference, function (image) { grey(image, current.reference, w[0], w[1]); });
    if (current.prediction) {
      show(panes.Prediction, current.prediction, function (image) { grey(image, current.prediction, w[0], w[1]); });
      show(panes["Prediction − reference"], current.prediction, function (image) {
        viewer.difference(image, current.prediction, current.reference, current.mask, Number(state.error) || spec.error[1]);
      });
    }
  }

  function labels(w) {
    var canvas = show(panes.Contours, current.input, function (image) { grey(image, current.input, w[0], w[1]); });
    // The reference is wider and below, so that both are seen where they coincide.
    if (on("reference")) over.contours(canvas, current.reference, spec.labels, over.REFERENCE, on("prediction") && current.prediction ? 4.5 : 3);
    if (on("prediction") && current.prediction) over.contours(canvas, current.prediction, spec.labels, over.PREDICTION, 2.2);
    if (!current.prediction) return;
    show(panes.Disagreement, current.input, function (image) {
      viewer.disagreement(image, current.input, current.prediction, current.reference, w[0], w[1]);
    });
  }

  function points(w) {
    var p = PLANES[state.plane], s = current.input, canvas = show(panes["Nodules and marks"], s, function (image) { grey(image, s, w[0], w[1]); });
    var own = spec.marks[state.model] || [], shown = on("prediction") && !!spec.marks[state.model];
    function where(at) {
      var row = p.up ? s.rows - 1 - at[p.rows] : at[p.rows];
      return {
        x: (at[p.columns] + 0.5) * canvas.width / s.columns, y: (row + 0.5) * canvas.height / s.rows,
        distance: Math.abs(at[p.along] - Number(state.slice)) * spec.spacing[p.along],
        scale: canvas.width / (s.columns * spec.spacing[p.columns])
      };
    }
    var hit = shown ? own.reduce(function (all, m) { return all.concat(m.on); }, []) : null;
    if (on("reference")) over.rings(canvas, spec.findings, hit, where);
    if (shown) over.marks(canvas, own, where);
  }

  // ---- begin: nothing is loaded until a reader asks ----

  host.closest(".viewer-part").hidden = false;
  if (state.model !== undefined || state.slice !== undefined || state.plane !== undefined) {
    if (state.slice === undefined) state.slice = "";
    open();
  } else {
    var size = [spec.volumes.input, spec.volumes.reference, spec.volumes.mask, spec.models[0]].reduce(function (sum, r) { return sum + ((r && r.bytes) || 0); }, 0);
    var button = make("button", { type: "button", class: "plain-button", text: "Open the viewer (loads " + (size / 1e6).toFixed(1) + " MB)" });
    button.addEventListener("click", function () { state.slice = ""; open(); });
    host.appendChild(button);
  }
})();
