// Reads a gzip-compressed pprof profile with Datadog's decoder and prints it as text.
//
// usage: node read_pprof.js < profile

const { gunzipSync } = require("node:zlib");
const { readFileSync } = require("node:fs");
const { Profile } = require("pprof-format");

const profile = Profile.decode(gunzipSync(readFileSync(0)));
const text = (id) => profile.stringTable.strings[Number(id)];
const hex = (number) => `0x${BigInt(number).toString(16)}`;
const type = (value) => `${text(value.type)}/${text(value.unit)}`;
const byId = (rows) => new Map(rows.map((row) => [Number(row.id), row]));
const locations = byId(profile.location);
const functions = byId(profile.function);

for (const value of profile.sampleType) console.log(`sample_type ${type(value)}`);
console.log(`default_sample_type ${text(profile.defaultSampleType)}`);
console.log(`time ${profile.timeNanos} duration ${profile.durationNanos}`);
if (profile.periodType) console.log(`period ${profile.period} ${type(profile.periodType)}`);
for (const comment of profile.comment) console.log(`comment ${text(comment)}`);
for (const mapping of profile.mapping) {
  const range = `${hex(mapping.memoryStart)}-${hex(mapping.memoryLimit)} at ${hex(mapping.fileOffset)}`;
  console.log(`mapping ${mapping.id} ${range} ${text(mapping.filename)} ${text(mapping.buildId)}`);
}
for (const sample of profile.sample) {
  const label = (it) => `${text(it.key)}=${Number(it.str) ? text(it.str) : it.num}`;
  console.log(`sample ${sample.value.join(" ")} ${sample.label.map(label).join(" ")}`);
  for (const id of sample.locationId) {
    const location = locations.get(Number(id));
    console.log(`  ${hex(location.address)} mapping ${location.mappingId}`);
    for (const line of location.line) {
      const called = functions.get(Number(line.functionId));
      console.log(`    ${text(called.name)} ${text(called.filename)}:${line.line}`);
    }
  }
}
