// Volumes of the viewer: they come as scripts (see leaderboard/viewer.py), are unpacked to the values that were scored, and cut.
(function () {
  "use strict";

  var host = document.querySelector(".viewer");
  if (!host || typeof DecompressionStream === "undefined") return;
  var radbench = window.radbench, spec = JSON.parse(host.dataset.viewer), volumes = {};

  function volume(record) {
    if (!volumes[record.key]) {
      volumes[record.key] = radbench.load(record.key, host.dataset.root + record.path).then(unpack);
      volumes[record.key].catch(function () { delete volumes[record.key]; }); // so that it can be tried again
    }
    return volumes[record.key];
  }

  function unpack(record) {
    var text = atob(record.data), bytes = new Uint8Array(text.length);
    for (var i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer().then(function (buffer) {
      var planes = new Uint8Array(buffer), n = planes.length / 2, width = record.shape[2];
      var values = new Float32Array(n), sum = 0;
      for (var k = 0; k < n; k += 1) {
        sum = k % width ? (sum + planes[k] + 256 * planes[n + k]) & 65535 : planes[k] + 256 * planes[n + k];
        values[k] = record.low + record.step * sum;
      }
      return { shape: record.shape, values: values };
    });
  }

  // z runs to the head, y to the back, x to the patient's left.

  var PLANES = {
    axial: { along: 0, rows: 1, columns: 2, up: false, marks: ["R", "L", "A", "P"] },
    coronal: { along: 1, rows: 0, columns: 2, up: true, marks: ["R", "L", "S", "I"] },
    sagittal: { along: 2, rows: 0, columns: 1, up: true, marks: ["A", "P", "S", "I"] }
  };

  function cut(volume, plane, index) {
    var p = PLANES[plane], s = volume.shape, strides = [s[1] * s[2], s[2], 1];
    var rows = s[p.rows], columns = s[p.columns], out = new Float32Array(rows * columns), k = 0;
    for (var r = 0; r < rows; r += 1) {
      var base = index * strides[p.along] + (p.up ? rows - 1 - r : r) * strides[p.rows];
      for (var c = 0; c < columns; c += 1) { out[k] = volume.values[base + c * strides[p.columns]]; k += 1; }
    }
    return { values: out, rows: rows, columns: columns };
  }

  radbench.viewer = { host: host, spec: spec, volume: volume, PLANES: PLANES, cut: cut };
})();
