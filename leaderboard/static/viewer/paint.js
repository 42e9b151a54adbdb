// Slices as pixels: grey in a window, errors in colour, disagreement of labels. And the canvases that show them.
(function () {
  "use strict";

  var radbench = window.radbench, viewer = radbench.viewer;
  if (!viewer) return;
  var spec = viewer.spec, PLANES = viewer.PLANES, state = radbench.address.state, make = radbench.dom.make;

  var palette = new Uint8Array((spec.palette.match(/../g) || []).map(function (h) { return parseInt(h, 16); }));
  var GROUND = [128, 132, 136], REFERENCE = [230, 159, 0], PREDICTION = [86, 180, 233], OTHER = [204, 121, 167];

  function grey(image, slice, low, high) {
    for (var k = 0; k < slice.values.length; k += 1) {
      var v = 255 * (slice.values[k] - low) / (high - low);
      image.data[4 * k] = image.data[4 * k + 1] = image.data[4 * k + 2] = v;
      image.data[4 * k + 3] = 255;
    }
  }

  function difference(image, prediction, reference, mask, limit) {
    for (var k = 0; k < prediction.values.length; k += 1) {
      var part = Math.min(Math.max((prediction.values[k] - reference.values[k] + limit) / (2 * limit), 0), 1);
      var colour = mask && !mask.values[k] ? GROUND : palette.subarray(3 * Math.round(250 * part), 3 * Math.round(250 * part) + 3);
      for (var j = 0; j < 3; j += 1) image.data[4 * k + j] = colour[j];
      image.data[4 * k + 3] = 255;
    }
  }

  // Areas on the dimmed input: what only the reference has, what only the prediction has, what has another label in each.
  function disagreement(image, input, prediction, reference, low, high) {
    for (var k = 0; k < prediction.values.length; k += 1) {
      var p = prediction.values[k], r = reference.values[k], grey = Math.min(Math.max(140 * (input.values[k] - low) / (high - low), 0), 140);
      var colour = p && !r ? PREDICTION : r && !p ? REFERENCE : p !== r ? OTHER : null;
      for (var j = 0; j < 3; j += 1) image.data[4 * k + j] = colour ? colour[j] : grey;
      image.data[4 * k + 3] = 255;
    }
  }

  function pane(name) {
    var canvas = make("canvas", { role: "img" }), cross = make("div", { class: "cross" });
    var marks = ["left", "right", "top", "bottom"].map(function (side) {
      return make("span", { class: "side " + side, "aria-hidden": "true" });
    });
    var frame = make("div", { class: "frame" }, [canvas, cross].concat(spec.placed ? marks : []));
    return { name: name, canvas: canvas, cross: cross, marks: marks, node: make("figure", { class: "pane" }, [frame, make("figcaption", { text: name })]) };
  }

  function show(target, slice, paint) {
    var small = document.createElement("canvas");
    small.width = slice.columns;
    small.height = slice.rows;
    var context = small.getContext("2d"), image = context.createImageData(slice.columns, slice.rows);
    paint(image);
    context.putImageData(image, 0, 0);
    var p = PLANES[state.plane], wide = slice.columns * spec.spacing[p.columns], tall = slice.rows * spec.spacing[p.rows];
    var scale = 576 / Math.max(wide, tall);
    target.canvas.width = Math.max(1, Math.round(wide * scale));
    target.canvas.height = Math.max(1, Math.round(tall * scale));
    var out = target.canvas.getContext("2d");
    out.imageSmoothingEnabled = true;
    out.imageSmoothingQuality = "high";
    out.drawImage(small, 0, 0, target.canvas.width, target.canvas.height);
    target.marks.forEach(function (mark, i) { mark.textContent = p.marks[i]; });
    target.canvas.setAttribute("aria-label", target.name + ", case " + spec.case + ", " + state.plane + " slice " + (Number(state.slice) + 1));
    return target.canvas;
  }

  viewer.grey = grey;
  viewer.difference = difference;
  viewer.disagreement = disagreement;
  viewer.pane = pane;
  viewer.show = show;
})();
