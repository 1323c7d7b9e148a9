/** Draws the lanes of the timeline. */

import { rate, seconds } from "./amount.js";
import { marks } from "./time.js";

/** Of the lanes, in pixels. */
export const HEIGHTS = { lag: 52, cpu: 92 };
/** The height of the axis below them. */
export const AXIS = 20;
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
/** Above the highest value. */
const HEADROOM = 16;

/** The profile: a bar a step, stacked by phase. Steps without a profile stay empty. */
export function drawStacks(pen, { cpu, theme, x, top, width, from, until, colourOf }) {
  const height = HEIGHTS.cpu;
  drawAxis(pen, { theme, x, top: top + height, width, from, until });
  if (!cpu?.series.length) return;
  const count = Math.max(...cpu.series.map(({ values }) => values.length));
  const sums = new Float64Array(count);
  for (const { values } of cpu.series) values.forEach((value, at) => { sums[at] += value ?? 0; });
  const most = Math.max(...sums) || 1;
  const y = (value) => top + height - (value / most) * (height - HEADROOM);
  const bases = new Float64Array(count);
  const barWidth = x(cpu.start + cpu.step) - x(cpu.start);
  const gap = barWidth > 5 ? 1 : 0;
  for (const { labels, values } of cpu.series) {
    pen.fillStyle = colourOf(labels);
    values.forEach((value, at) => {
      if (!value) return;
      const left = Math.max(x(cpu.start + at * cpu.step), 0);
      const right = x(cpu.start + (at + 1) * cpu.step);
      const [low, high] = [y(bases[at]), y(bases[at] + value)];
      pen.fillRect(left, high, Math.max(right - left - gap, 0.5), low - high);
      bases[at] += value;
    });
  }
  drawScale(pen, { theme, width, y: y(most), text: rate(most, cpu.unit, cpu.step) });
}

/** The lag of event loops: from the median to the 99th percentile as an area, the highest as a line. */
export function drawLag(pen, { lag, theme, x, top, width }) {
  const height = HEIGHTS.lag;
  const known = lag.series.flatMap(({ max, p99 }) => [...max, ...p99]).filter((value) => value !== null);
  const most = Math.max(...known, 1e-6);
  const y = (value) => top + height - 4 - (value / most) * (height - HEADROOM - 6);
  const points = (values) => values.map((value, at) => [x(lag.start + (at + 0.5) * lag.step), value]);
  for (const { p50, p99, max } of lag.series) {
    pen.fillStyle = theme.lagArea;
    for (const run of runs(points(p99), points(p50))) {
      pen.beginPath();
      run.forEach(([at, high]) => pen.lineTo(at, y(high)));
      run.toReversed().forEach(([at, , low]) => pen.lineTo(at, y(low)));
      pen.fill();
    }
    for (const [values, colour, line] of [[p99, theme.lag, 1.25], [max, theme.lagMax, 1]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      for (const run of runs(points(values))) {
        pen.beginPath();
        run.forEach(([at, value]) => pen.lineTo(at, y(value)));
        if (run.length === 1) pen.arc(run[0][0], y(run[0][1]), 1, 0, 7);
        pen.stroke();
      }
    }
  }
  drawScale(pen, { theme, width, y: y(most), text: `${seconds(most)} lag` });
  pen.fillStyle = theme.line;
  pen.fillRect(0, top + height - 0.5, width, 1);
}

/** Neighbouring points that are known, each with the value of a second series. */
function runs(points, lows = points) {
  const found = [];
  let isOpen = false;
  points.forEach(([x, value], at) => {
    const isKnown = typeof value === "number";
    if (isKnown && !isOpen) found.push([]);
    if (isKnown) found.at(-1).push([x, value, lows[at][1] ?? value]);
    isOpen = isKnown;
  });
  return found;
}

function drawScale(pen, { theme, width, y, text }) {
  pen.strokeStyle = theme.line;
  pen.lineWidth = 1;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(0, Math.round(y) + 0.5);
  pen.lineTo(width, Math.round(y) + 0.5);
  pen.stroke();
  pen.setLineDash([]);
  pen.font = FONT;
  pen.fillStyle = theme.faint;
  pen.textBaseline = "bottom";
  pen.fillText(text, 2, y - 1);
}

function drawAxis(pen, { theme, x, top, width, from, until }) {
  pen.fillStyle = theme.line;
  pen.fillRect(0, top, width, 1);
  pen.font = FONT;
  pen.textBaseline = "top";
  for (const { time, text } of marks(from, until, Math.max(width / 90, 2))) {
    const at = x(time);
    pen.fillStyle = theme.line;
    pen.fillRect(Math.round(at), top, 1, 5);
    pen.fillStyle = theme.faint;
    const textWidth = pen.measureText(text).width;
    if (at - textWidth / 2 > 0 && at + textWidth / 2 < width) pen.fillText(text, at - textWidth / 2, top + 6);
  }
}
