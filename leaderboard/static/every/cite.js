// A button beside each citation that copies it. Without JavaScript the text is there to be marked.
(function () {
  "use strict";

  Array.prototype.forEach.call(document.querySelectorAll("details.cite"), function (cite) {
    var text = cite.querySelector("pre"), button = document.createElement("button"), said = document.createElement("span");
    button.type = "button";
    button.className = "plain-button";
    button.textContent = "Copy " + cite.querySelector("summary").textContent;
    said.className = "small";
    said.setAttribute("role", "status");
    button.addEventListener("click", function () {
      function mark() {
        getSelection().selectAllChildren(text);
        said.textContent = "Marked: copy it with Ctrl+C or ⌘C.";
      }
      if (!navigator.clipboard) { mark(); return; }
      navigator.clipboard.writeText(text.textContent).then(function () { said.textContent = "Copied."; }, mark);
    });
    var line = document.createElement("p");
    line.className = "copy";
    line.appendChild(button);
    line.appendChild(said);
    text.insertAdjacentElement("beforebegin", line);
  });
})();
