"use strict";

/** The theme is set before anything is drawn: a page that flashes is worse than one that is late. */
{
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;
}
