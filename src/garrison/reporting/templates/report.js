"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const search = form.querySelector("input[type=search]");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const none = document.getElementById("none");
  const files = [...document.querySelectorAll(".file")].map((file) => ({
    file,
    folds: [...file.querySelectorAll(".fold")].map((fold) => ({
      fold,
      severity: fold.dataset.severity,
      text: `${file.querySelector("h3").textContent} ${fold.textContent}`.toLowerCase(),
    })),
  }));
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let any = false;
    for (const { file, folds } of files) {
      let here = false;
      for (const { fold, severity, text } of folds) {
        const keep = shown.has(severity) && words.every((word) => text.includes(word));
        fold.hidden = !keep;
        here = here || keep;
      }
      file.hidden = !here;
      any = any || here;
    }
    none.hidden = any;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
