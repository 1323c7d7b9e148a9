// The program that is measured: an HTTP server whose requests cost the same each time, so that what measuring adds is seen.
//
// Prints its port. `/` answers at once, `/work` computes for some 0.4 ms, `/files` reads a file through the thread pool.
// `/spin/start` begins iterations that do nothing, `/stats/start` operations of the pool one after the other; `/count` tells how many there
// were and `/stop` ends them. `/profiler/start` and `/profiler/stop` switch the inspector's CPU profiler, which samples each millisecond.
// With the path of prom-client as an argument, its default metrics are collected. Ends when its standard input ends.
'use strict';

const { createHash } = require('node:crypto');
const { readFile, stat } = require('node:fs');
const { createServer } = require('node:http');
const { Session } = require('node:inspector');

const [promClient] = process.argv.slice(2);
if (promClient) require(promClient).collectDefaultMetrics();

const block = Buffer.alloc(16 * 1024, 'loop');

function compute() {
  let digest = '';
  for (let round = 0; round < 16; round++) digest = createHash('sha256').update(block).update(digest).digest('hex');
  return digest;
}

let session;
const profiler = {
  start(done) {
    session = new Session();
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: 1000 });
    session.post('Profiler.start', done);
  },
  stop(done) {
    session.post('Profiler.stop', () => {
      session.disconnect();
      done();
    });
  },
};

let [spins, count] = [false, 0];

function spin() {
  count++;
  if (spins) setImmediate(spin);
}

function askAgain() {
  count++;
  if (spins) stat('/', askAgain);
}

function begin(what) {
  spins = true;
  what();
  return 'begun';
}

const routes = {
  '/spin/start': (answer) => answer(begin(spin)),
  '/stats/start': (answer) => answer(begin(askAgain)),
  '/count': (answer) => answer(String(count)),
  '/stop': (answer) => answer(String(spins = false)),
  '/': (answer) => answer('hello'),
  '/work': (answer) => answer(compute()),
  '/files': (answer) => readFile(__filename, (error, text) => answer(error ? String(error) : text.subarray(0, 64))),
  '/profiler/start': (answer) => profiler.start(() => answer('started')),
  '/profiler/stop': (answer) => profiler.stop(() => answer('stopped')),
};

const server = createServer((request, response) => routes[request.url]((text) => response.end(text)));
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0));
