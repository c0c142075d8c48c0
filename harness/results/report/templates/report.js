"use strict";
const field = document.getElementById("filter"), shown = document.getElementById("shown");
const rows = [...document.querySelectorAll("#cells tbody tr")], texts = rows.map((row) => row.textContent.toLowerCase());
let at = -1;
function visible() { return rows.filter((row) => !row.classList.contains("hidden")); }
function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  rows.forEach((row, n) => row.classList.toggle("hidden", !words.every((word) => texts[n].includes(word))));
  shown.textContent = words.length ? `${visible().length} of ${rows.length}` : "";
  history.replaceState(null, "", words.length ? `#${encodeURIComponent(field.value)}` : location.pathname.split("/").pop() || ".");
}
field.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.target === field) { if (event.key === "Escape") { field.value = ""; filter(); field.blur(); } return; }
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "/") { event.preventDefault(); field.focus(); return; }
  const step = { j: 1, k: -1 }[event.key], list = visible();
  if (step && list.length) { at = Math.min(Math.max(at + step, 0), list.length - 1); list[at].focus(); list[at].scrollIntoView({ block: "nearest" }); }
  if (event.key === "Enter" && list[at] && document.activeElement === list[at]) { const link = list[at].querySelector("a"); if (link) link.click(); }
});
if (location.hash.length > 1) { field.value = decodeURIComponent(location.hash.slice(1)); filter(); }
