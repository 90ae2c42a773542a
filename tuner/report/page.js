"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const printing = { now: false };
  const narrow = () => innerWidth < 600;

  // -- figures: drawn when they come near, again when theme or width change ----------------------

  const theme = () => printing.now ? "light" : root.dataset.theme || (prefersDark.matches ? "dark" : "light");

  const laidOut = (figure, place) => {
    const layout = structuredClone(figure.layout);
    if (place.dataset.legend === "no") layout.showlegend = false;
    layout.template = data.templates[theme()];
    layout.autosize = true;
    if (printing.now) {
      // A sheet of A4 or Letter, whatever the window's width: the browser lays the page out only afterwards.
      layout.autosize = false;
      layout.width = place.closest(".grid") ? 340 : 690;
    } else if (narrow()) {
      layout.font = { size: 11 };
      layout.dragmode = false;
      layout.height = Math.min(layout.height, Math.max(300, layout.height * 0.85));
    }
    return layout;
  };

  const draw = (place) => {
    const figure = data.figures[place.dataset.drawing];
    const least = figure.layout.meta && figure.layout.meta.minimum_width;
    place.style.minWidth = least && !printing.now ? `${least}px` : "";
    place.dataset.drawn = "yes";
    return Plotly.react(place, structuredClone(figure.data), laidOut(figure, place), {
      responsive: true,
      displaylogo: false,
      displayModeBar: narrow() ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { format: "png", scale: 3, filename: place.dataset.drawing },
    });
  };

  const places = [...document.querySelectorAll("[data-drawing]")];
  const drawn = () => places.filter((place) => place.dataset.drawn);
  // One a frame, so that scrolling goes on between two of them.
  const waiting = [];
  const drawNext = () => {
    const place = waiting.shift();
    if (place && !place.dataset.drawn) draw(place);
    if (waiting.length) requestAnimationFrame(() => setTimeout(drawNext));
  };
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
      watcher.unobserve(target);
      waiting.push(target);
      if (waiting.length === 1) requestAnimationFrame(() => setTimeout(drawNext));
    }),
    { rootMargin: "900px" },
  );
  places.forEach((place) => watcher.observe(place));

  document.querySelectorAll("select[data-figure]").forEach((select) => {
    select.addEventListener("change", () => {
      const place = select.closest("section").querySelector("[data-drawing]");
      place.dataset.drawing = select.value;
      Plotly.purge(place);
      draw(place);
    });
  });

  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    drawn().forEach(draw);
  });
  prefersDark.addEventListener("change", () => drawn().forEach(draw));

  addEventListener("beforeprint", () => {
    printing.now = true;
    root.dataset.screenTheme = root.dataset.theme || "";
    root.dataset.theme = "light";
    places.forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing.now = false;
    if (root.dataset.screenTheme) root.dataset.theme = root.dataset.screenTheme;
    else delete root.dataset.theme;
    drawn().forEach(draw);
  });

  // -- the leaderboard: cells come as columns; a page of rows is in the document at a time -------

  const { columns, cells, colours } = data.table;
  const board = document.getElementById("board");
  if (!board) return;
  const PAGE = 25;
  const input = document.getElementById("filter");
  const index = Object.fromEntries(columns.map(({ name }, number) => [name, number]));
  const all = Array.from({ length: cells[0].length }, (_, row) => row);
  const filled = columns.map((_, number) => cells[number].some((cell) => cell !== null));
  const state = { sort: null, descending: false, page: 0, minor: false };

  const shown = (cell) => {
    if (cell === null) return "";
    if (typeof cell === "number" && !Number.isInteger(cell)) return String(Number(cell.toPrecision(5)));
    return String(cell);
  };
  let haystacks = null;
  const haystack = (row) => {
    haystacks ||= all.map((each) => cells.map((column) => shown(column[each])).join("\n").toLowerCase());
    return haystacks[row];
  };

  const OPERATORS = {
    ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
    "=": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  // `score>0.86` compares a column, `-pruned` excludes, any other word is looked for in every cell.
  const test = (word) => {
    const [, name, operator, value] = word.match(/^([\w.]+)(>=|<=|!=|=|>|<)(.+)$/) || [];
    if (Object.hasOwn(index, name)) {
      const column = cells[index[name]];
      const number = Number(value);
      const compare = OPERATORS[operator];
      return Number.isNaN(number)
        ? (row) => column[row] !== null && compare(String(column[row]).toLowerCase(), value.toLowerCase())
        : (row) => column[row] !== null && compare(Number(column[row]), number);
    }
    if (word.length > 1 && word.startsWith("-")) return (row) => !haystack(row).includes(word.slice(1).toLowerCase());
    return (row) => haystack(row).includes(word.toLowerCase());
  };

  const chosen = () => {
    const tests = input.value.split(/\s+/).filter(Boolean).map(test);
    const rows = all.filter((row) => tests.every((passes) => passes(row)));
    if (state.sort === null) return rows;
    const column = cells[state.sort];
    const sign = state.descending ? -1 : 1;
    return rows.sort((a, b) => {
      const [one, other] = [column[a], column[b]];
      if (one === null || other === null) return (one === null) - (other === null) || a - b;
      if (one === other) return a - b;
      return typeof one === "number" && typeof other === "number"
        ? sign * (one - other)
        : sign * String(one).localeCompare(String(other), undefined, { numeric: true });
    });
  };

  const visible = () => columns.map((_, number) => number)
    .filter((number) => state.minor || (filled[number] && !columns[number].minor));

  const cell = (row, number) => {
    const { name, numeric } = columns[number];
    const content = cells[number][row];
    const place = document.createElement("td");
    if (numeric) place.className = "number";
    if (name === data.table.coloured && content) {
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = colours[content] || "";
      place.append(dot);
    }
    if (name === "status") place.className = `status-${content}`;
    const text = name === "score" && content !== null ? content.toFixed(4) : shown(content);
    place.append(text);
    if (text.length > 40) place.title = text;
    return place;
  };

  const head = () => {
    const row = document.createElement("tr");
    for (const number of visible()) {
      const place = document.createElement("th");
      place.scope = "col";
      if (columns[number].numeric) place.className = "number";
      if (state.sort === number) place.ariaSort = state.descending ? "descending" : "ascending";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = columns[number].name.replaceAll("_", " ");
      button.dataset.column = columns[number].name;
      button.addEventListener("click", () => {
        state.descending = state.sort === number && !state.descending;
        state.sort = number;
        state.page = 0;
        show();
        board.querySelector(`[data-column="${CSS.escape(columns[number].name)}"]`).focus();
      });
      place.append(button);
      row.append(place);
    }
    board.tHead.replaceChildren(row);
  };

  const show = () => {
    const rows = chosen();
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const first = state.page * PAGE;
    head();
    board.tBodies[0].replaceChildren(...rows.slice(first, first + PAGE).map((row) => {
      const line = document.createElement("tr");
      line.append(...visible().map((number) => cell(row, number)));
      return line;
    }));
    const few = rows.length === all.length ? "" : ` of ${all.length.toLocaleString("en")}`;
    document.getElementById("count").textContent = `${rows.length.toLocaleString("en")}${few} trials`;
    document.getElementById("where").textContent = `${state.page + 1} of ${pages}`;
    document.getElementById("back").disabled = state.page === 0;
    document.getElementById("next").disabled = state.page === pages - 1;
    document.getElementById("pager").hidden = pages === 1;
  };

  input.addEventListener("input", () => { state.page = 0; show(); });
  document.getElementById("back").addEventListener("click", () => { state.page -= 1; show(); });
  document.getElementById("next").addEventListener("click", () => { state.page += 1; show(); });
  const more = document.getElementById("columns");
  more.addEventListener("click", () => {
    state.minor = !state.minor;
    more.ariaPressed = String(state.minor);
    show();
  });
  show();
})();
