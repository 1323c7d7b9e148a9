// Checks speedscope files, one a line of input, against the schema that speedscope ships.
//
// usage: node check_speedscope.js < files

const { readFileSync } = require("node:fs");
const { dirname, join } = require("node:path");
const Ajv = require("ajv");

const speedscope = dirname(require.resolve("speedscope/package.json"));
const schema = JSON.parse(readFileSync(join(speedscope, "dist/release/file-format-schema.json"), "utf8"));
const validate = new Ajv({ strict: false }).compile(schema);

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  if (!validate(JSON.parse(line))) {
    console.error(validate.errors);
    process.exit(1);
  }
}
