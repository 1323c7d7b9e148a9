/** Fits a name into so many cells of a monospaced font, as `label.rs` does; nothing if that is too little to show. */
function fit(name, cells) {
  if (cells < 3) return "";
  if (cellsOf(name) <= cells) return name;
  let innermost = name;
  for (const start of pathSegments(name)) {
    innermost = name.slice(start);
    if (cellsOf(innermost) <= cells) return innermost;
  }
  return cut(innermost, cells);
}

/** The first cells of the text, ended by an ellipsis. */
function cut(text, cells) {
  let used = 1;
  let fitting = "";
  for (const character of text) {
    used += cellCount(character);
    if (used > cells) break;
    fitting += character;
  }
  return `${fitting}…`;
}

/** Where the inner segments of a path begin: after each `::` in no brackets, unless a brace comes next. */
function* pathSegments(name) {
  let depth = 0;
  for (let at = 0; at < name.length; at++) {
    const character = name[at];
    if ("<([".includes(character)) depth++;
    else if (">)]".includes(character) && !(character === ">" && name[at - 1] === "-")) depth = Math.max(depth - 1, 0);
    const pathEnds = depth === 0 && character === ":" && name[at - 1] === ":";
    if (pathEnds && at + 1 < name.length && name[at + 1] !== "{" && name[at + 1] !== ":") yield at + 1;
  }
}

function cellsOf(text) {
  let cells = 0;
  for (const character of text) cells += cellCount(character);
  return cells;
}

/** From the Hangul jamo on, most scripts and all emoji are two cells wide. */
function cellCount(character) {
  const code = character.codePointAt(0);
  return code < 0x1100 || (code >= 0x2000 && code < 0x2e80) ? 1 : 2;
}
