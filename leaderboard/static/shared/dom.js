// Elements and form controls. Texts are set as text, never as markup.
(function () {
  "use strict";

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

  window.radbench.dom = { make: make, chooser: chooser, check: check };
})();
