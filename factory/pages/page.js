"use strict";
// Tables that sort by their headings and filter by what is typed. Without this, they are only long.
const text = (cell) => (cell.dataset.value ?? cell.textContent).trim();

const compare = {
  number: (a, b) => (a === "") - (b === "") || Number(a) - Number(b),
  text: (a, b) => (a === "") - (b === "") || a.localeCompare(b, "en"),
  version: (a, b) => (a === "") - (b === "") || a.localeCompare(b, "en", { numeric: true }),
};

function sort(table, heading) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const down = heading.ariaSort === "ascending" || (heading.ariaSort === "none" && heading.dataset.kind === "number");
  for (const other of heading.parentElement.children) other.ariaSort = "none";
  heading.ariaSort = down ? "descending" : "ascending";
  const order = compare[heading.dataset.kind];
  const rows = [...table.tBodies[0].rows].map((row) => [text(row.cells[column]), row]);
  rows.sort(([a], [b]) => (a === "" || b === "" ? order(a, b) : down ? order(b, a) : order(a, b)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

// "ring:canary churn" is: the column ring is canary, and churn stands somewhere in the row.
function matches(row, query) {
  return query.every(([column, value]) => {
    if (column === "is") return row.dataset.is.split(" ").includes(value);
    const cell = column && [...row.cells].find((one) => one.dataset.column?.toLowerCase() === column);
    if (!cell) return row.textContent.toLowerCase().includes(column ? `${column}:${value}` : value);
    return text(cell).toLowerCase().split(/, | most like /).some((one) => one.trim() === value);
  });
}

function filter(input) {
  const table = document.getElementById(input.dataset.table);
  // What stands in quotes is one word.
  const words = input.value.toLowerCase().match(/(?:[^\s"]+|"[^"]*")+/g) ?? [];
  const query = words.map((word) => {
    const [, column = "", value] = word.match(/^(?:([^:"]+):)?(.*)$/s);
    return [column, value.replaceAll('"', "")];
  });
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    row.hidden = !matches(row, query);
    shown += !row.hidden;
  }
  const all = table.tBodies[0].rows.length;
  input.parentElement.querySelector("output").value = query.length ? `${shown} of ${all}` : `${all}`;
  for (const button of document.querySelectorAll(`button[data-table="${table.id}"]`)) {
    button.ariaPressed = String(button.dataset.query.toLowerCase() === input.value.trim().toLowerCase());
  }
}

for (const heading of document.querySelectorAll("thead th")) {
  heading.querySelector("button").addEventListener("click", () => sort(heading.closest("table"), heading));
}
for (const input of document.querySelectorAll("input[type=search]")) {
  input.addEventListener("input", () => filter(input));
  filter(input);
}
for (const button of document.querySelectorAll("button[data-query]")) {
  button.addEventListener("click", () => {
    const input = document.getElementById(`${button.dataset.table}-filter`);
    const query = button.dataset.query.replace(/^([^:]+):(.*\s.*)$/s, '$1:"$2"');
    button.dataset.query = query;
    input.value = button.ariaPressed === "true" ? "" : query;
    filter(input);
  });
}
