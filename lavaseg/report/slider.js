"use strict";
(() => {
  const input = document.getElementById("step");
  const said = document.getElementById("step-said");
  const frames = document.querySelectorAll(".frame");
  const show = () => {
    frames.forEach((frame, index) => { frame.hidden = index !== input.valueAsNumber; });
    said.textContent = frames[input.valueAsNumber].alt;
    input.setAttribute("aria-valuetext", said.textContent);
  };
  input.addEventListener("input", show);
  input.hidden = false;
  show();
})();
