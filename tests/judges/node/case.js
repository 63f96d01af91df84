// Cases of one client: run one after the other, one JSON line for each, as python/case.py does.
'use strict';

const assert = require('node:assert');

const list = [];

function add(operation, name, run) {
  list.push({ operation, name, run });
}

// What the judge was started with: client, services, instance, bucket, options.
const asked = JSON.parse(process.env.JUDGE);

async function runAll(given) {
  for (const [number, { operation, name, run }] of list.entries()) {
    let detail = '';
    try {
      await run(await given(number));
    } catch (error) {
      detail = String(error?.message || error).slice(0, 500) || 'failed';
    }
    const line = { client: asked.client, operation, case: name, passed: !detail, detail };
    process.stdout.write(JSON.stringify(line) + '\n');
  }
}

const equal = (found, expected) => assert.deepStrictEqual(found, expected);

// What an action was refused with; a failure when it was not.
async function refused(action) {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

module.exports = { add, asked, equal, refused, runAll };
