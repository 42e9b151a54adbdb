// Numbers as people read them, as leaderboard/numbers.py writes them.
(function () {
  "use strict";

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

  window.radbench.numbers = { number: number, span: span, value: value, coordinate: coordinate };
})();
