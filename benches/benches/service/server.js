// An HTTP server that serves prom-client's default metrics, if its path is given behind the port; without, an empty answer.
'use strict';

const { createServer } = require('node:http');

const [port, path] = process.argv.slice(2);
const client = path && require(path);
if (client) client.collectDefaultMetrics();

createServer(async (request, response) => {
  response.end(client ? await client.register.metrics() : 'nothing 1\n');
}).listen(Number(port), '127.0.0.1');
process.stdin.on('end', () => process.exit()).resume();
