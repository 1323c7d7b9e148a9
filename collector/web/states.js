/** What stands in place of a profile: none yet, none in this time, or a failure. */

import { html, copy, toast } from "./dom.js";
import { dateTime } from "./time.js";

/** There is nothing at all: how to send something. */
export function noneYet() {
  const here = new URL("..", import.meta.url).href.replace(/\/$/, "");
  return [
    html("h2", {}, "No profiles yet"),
    html("p", {}, "This collector is running, and nothing has been sent to it. Let an agent profile what runs on a host, and tell of its event loops' lag:"),
    command(`loopscope agent --profile --otlp-endpoint ${here}`),
    html("p", {}, "Or profile one program, and send what was recorded:"),
    command(`loopscope profile --duration 30s --format pprof --output api.pb.gz --pid PID\nloopscope upload api.pb.gz --to ${here} --service api`),
    html("p", {}, "Or point any of Pyroscope's SDKs or agents here. Node.js, with ", html("code", {}, "@pyroscope/nodejs"), ":"),
    command(`Pyroscope.init({ serverAddress: "${here}", appName: "api" });\nPyroscope.start();`),
    html("p", {}, "Folded stacks work as well, from any tool that writes them:"),
    command(`printf 'main;work 10\\nmain;wait 5\\n' | curl --data-binary @- "${here}/ingest?name=try&format=folded&from=$(($(date +%s) - 10))&until=$(date +%s)"`),
    html("p", { class: "hint" }, "This page looks again by itself every five seconds."),
  ];
}

/** There is something, but not in this time or not of this selection. */
export function noneHere({ last, show, clear }) {
  return [
    html("h2", {}, "No profiles in this time"),
    html("p", {}, last ? `The last profile of what is selected began at or before ${dateTime(last)}.` : "Nothing that was stored matches the selector."),
    html("p", { class: "actions" },
      last && html("button", { type: "button", class: "primary", click: show }, "Go there"),
      clear && html("button", { type: "button", click: clear }, "Without label filters")),
  ];
}

/** Something failed. */
export function failed(error, retry) {
  const wasAnswered = error.status > 0;
  return [
    html("h2", {}, wasAnswered ? `The collector refused: ${error.status}` : "That failed"),
    html("pre", { class: "evidence" }, error.message),
    html("p", { class: "actions" }, html("button", { type: "button", class: "primary", click: retry }, "Try again")),
  ];
}

function command(text) {
  return html("div", { class: "command" }, html("pre", { tabindex: "0" }, text),
    html("button", { type: "button", class: "small", click: () => copy(text).then(() => toast("Copied"), (error) => toast(error.message)) }, "Copy"));
}
