// What a reader chose is kept behind the # of the address, so that a link brings it back: key=value, joined by &.
(function () {
  "use strict";

  var radbench = window.radbench = window.radbench || {};

  function read() {
    var found = {};
    var text = location.hash.slice(1);
    if (text.indexOf("=") < 0) return found; // the name of a heading, not ours
    text.split("&").forEach(function (part) {
      var at = part.indexOf("=");
      if (at > 0) {
        try { found[part.slice(0, at)] = decodeURIComponent(part.slice(at + 1)); } catch (error) { /* not ours */ }
      }
    });
    return found;
  }

  var state = read();

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

  // A link to another choice on the same page is followed like any other link.
  window.addEventListener("hashchange", function () { if (location.hash.indexOf("=") >= 0) location.reload(); });

  radbench.address = { state: state, set: set, write: write };
})();
