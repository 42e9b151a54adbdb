// Data that only some readers need come as scripts, which also load where a page is opened from disk.
(function () {
  "use strict";

  var radbench = window.radbench, waiting = {};

  radbench.receive = function (key, data) { if (waiting[key]) waiting[key](data); };

  radbench.load = function (key, address) {
    return new Promise(function (done, failed) {
      var script = radbench.dom.make("script", { src: address });
      waiting[key] = done;
      script.addEventListener("error", failed);
      document.head.appendChild(script);
    });
  };
})();
