// The npm package `tablestore`: a signer and a PlainBuffer codec of its own.
'use strict';

const ots = require('tablestore');
const { add, asked, equal, refused, runAll } = require('./case');

const { IGNORE, EXPECT_EXIST, EXPECT_NOT_EXIST } = ots.RowExistenceExpectation;
const { FORWARD, BACKWARD } = ots.Direction;
const DAY = 86400;
const NO_TABLE = [404, 'OTSObjectNotExist', 'Requested table does not exist.'];
const CONDITION_FAILED = [403, 'OTSConditionCheckFail', 'Condition check failed.'];

const long = (value) => ots.Long.fromString(String(value));
const key = (pk) => (Array.isArray(pk) ? pk : [{ pk }]);
const only = (existence, columns = null) => new ots.Condition(existence, columns);
const is = (name, comparator, value, passIfMissing = true) =>
  new ots.SingleColumnCondition(name, value, ots.ComparatorType[comparator], passIfMissing);

function composite(operator, ...parts) {
  const condition = new ots.CompositeCondition(ots.LogicalOperator[operator]);
  parts.forEach((part) => condition.addSubCondition(part));
  return condition;
}

// Values as JSON can hold them: integers as text with an n, binary as hex.
function plain(value) {
  if (Buffer.isBuffer(value)) return `hex:${value.toString('hex')}`;
  if (value && typeof value === 'object' && value.toBuffer) return `${value.toString()}n`;
  return value;
}

const keyOf = (primaryKey) => primaryKey.map(({ name, value }) => [name, plain(value)]);
const cellsOf = (attributes) => attributes.map(({ columnName, columnValue }) => [columnName, plain(columnValue)]);

// A client and a table name of the case's own; verbs for what most cases do.
class Table {
  constructor(client, name) {
    this.client = client;
    this.name = name;
  }

  make({ keys = [{ name: 'pk', type: 'STRING' }], defined = [], ttl = -1, versions = 1 } = {}) {
    return this.client.createTable({
      tableMeta: { tableName: this.name, primaryKey: keys, definedColumn: defined },
      reservedThroughput: { capacityUnit: { read: 0, write: 0 } },
      tableOptions: { timeToLive: ttl, maxVersions: versions },
    });
  }

  describe() {
    return this.client.describeTable({ tableName: this.name });
  }

  put(pk, columns = [], condition = only(IGNORE), options = {}) {
    const row = { primaryKey: key(pk), attributeColumns: columns };
    return this.client.putRow({ tableName: this.name, condition, ...row, ...options });
  }

  update(pk, changes, condition = only(IGNORE), options = {}) {
    const row = { primaryKey: key(pk), updateOfAttributeColumns: changes };
    return this.client.updateRow({ tableName: this.name, condition, ...row, ...options });
  }

  delete(pk, condition = only(IGNORE)) {
    return this.client.deleteRow({ tableName: this.name, condition, primaryKey: key(pk) });
  }

  async row(pk, options = {}) {
    const answer = await this.client.getRow({ tableName: this.name, primaryKey: key(pk), maxVersions: 1, ...options });
    return answer.row.primaryKey ? answer.row : null;
  }

  async columns(pk, options = {}) {
    const row = await this.row(pk, options);
    return row && cellsOf(row.attributes);
  }

  range(start, end, direction = FORWARD, options = {}) {
    return this.client.getRange({
      tableName: this.name,
      direction,
      maxVersions: 1,
      inclusiveStartPrimaryKey: key(start),
      exclusiveEndPrimaryKey: key(end),
      ...options,
    });
  }

  // The values of the first key column of one answer, and that of where to go on.
  async keys(start, end, direction = FORWARD, options = {}) {
    const answer = await this.range(start, end, direction, options);
    const next = answer.nextStartPrimaryKey;
    return [answer.rows.map((row) => plain(row.primaryKey[0].value)), next && plain(next[0].value)];
  }

  write(...rows) {
    return this.client.batchWriteRow({ tables: [{ tableName: this.name, rows }] });
  }

  // Rows 0 to 9 with `n`, even ones with `even`.
  async numbered() {
    await this.make({ keys: [{ name: 'pk', type: 'INTEGER' }] });
    const columns = (n) => [{ n: long(n) }, ...(n % 2 ? [] : [{ even: true }])];
    await this.write(...range(0, 10).map((n) => putItem(long(n), columns(n))));
  }
}

const range = (first, end) => Array.from({ length: end - first }, (_, n) => first + n);
const texts = (...numbers) => numbers.map((n) => `${n}n`);

function putItem(pk, columns, condition = only(IGNORE)) {
  return { type: 'PUT', condition, primaryKey: key(pk), attributeColumns: columns };
}

// Errors arrive as a status and the undecoded message of the service: both parts of it must be in there.
async function refusedWith([status, code, text], action) {
  const error = await refused(action);
  equal([error.code, error.message.includes(code), error.message.includes(text)], [status, true, true]);
}

add('CreateTable', 'keys, options and defined columns are kept', async (t) => {
  const keys = [
    { name: 'a', type: 'STRING' },
    { name: 'b', type: 'INTEGER' },
    { name: 'c', type: 'BINARY' },
    { name: 'd', type: 'INTEGER', option: 'AUTO_INCREMENT' },
  ];
  const defined = [
    { name: 'x', type: ots.DefinedColumnType.DCT_DOUBLE },
    { name: 'y', type: ots.DefinedColumnType.DCT_BOOLEAN },
  ];
  await t.make({ keys, defined, ttl: 10 * DAY, versions: 3 });
  const told = await t.describe();
  equal(told.tableMeta.primaryKey.map((own) => [own.name, own.type, Object.hasOwn(own, 'option')]), [
    ['a', 2, false],
    ['b', 1, false],
    ['c', 3, false],
    ['d', 1, true],
  ]);
  equal(told.tableMeta.definedColumn.map(({ name, type }) => [name, type]), [['x', 2], ['y', 3]]);
  equal([told.tableOptions.timeToLive, told.tableOptions.maxVersions], [10 * DAY, 3]);
});

add('CreateTable', 'a table is not made twice', async (t) => {
  await t.make();
  await refusedWith([409, 'OTSObjectAlreadyExist', 'Requested table already exists.'], () => t.make());
});

add('CreateTable', 'a key column is not named twice', async (t) => {
  const keys = [{ name: 'PK0', type: 'STRING' }, { name: 'PK0', type: 'INTEGER' }];
  await refusedWith([400, 'OTSParameterInvalid', "Duplicated primary key name: 'PK0'."], () => t.make({ keys }));
});

add('DescribeTable', 'a table that is not there is refused', (t) => refusedWith(NO_TABLE, () => t.describe()));

add('UpdateTable', 'a stream is turned on and off', async (t) => {
  await t.make();
  const tableOptions = { timeToLive: -1, maxVersions: 1 }; // the client does not do without
  const set = (streamSpecification) => t.client.updateTable({ tableName: t.name, tableOptions, streamSpecification });
  await set({ enableStream: true, expirationTime: 24 });
  const { streamDetails } = await t.describe();
  equal([streamDetails.enableStream, streamDetails.expirationTime], [true, 24]);
  equal((await set({ enableStream: false })).streamDetails.enableStream, false);
});

add('UpdateTable', 'options change', async (t) => {
  await t.make();
  await t.client.updateTable({ tableName: t.name, tableOptions: { timeToLive: 2 * DAY, maxVersions: 5 } });
  const told = (await t.describe()).tableOptions;
  equal([told.timeToLive, told.maxVersions], [2 * DAY, 5]);
});

add('ListTable', 'a table is listed', async (t) => {
  await t.make();
  equal((await t.client.listTable({})).tableNames.includes(t.name), true);
});

add('DeleteTable', 'a deleted table is gone', async (t) => {
  await t.make();
  await t.client.deleteTable({ tableName: t.name });
  await refusedWith(NO_TABLE, () => t.describe());
});

add('PutRow', 'every type of value comes back', async (t) => {
  await t.make();
  await t.put('k', [
    { binary: Buffer.from([0, 1, 254, 255]) },
    { double: -1.5e300 },
    { empty: '' },
    { false: false },
    { largest: long('9223372036854775807') },
    { least: long('-9223372036854775808') },
    { text: 'é 中 😀' },
    { true: true },
  ]);
  equal(await t.columns('k'), [
    ['binary', 'hex:0001feff'],
    ['double', -1.5e300],
    ['empty', ''],
    ['false', false],
    ['largest', '9223372036854775807n'],
    ['least', '-9223372036854775808n'],
    ['text', 'é 中 😀'],
    ['true', true],
  ]);
});

add('PutRow', 'every type of key comes back', async (t) => {
  await t.make({ keys: [{ name: 'a', type: 'STRING' }, { name: 'b', type: 'INTEGER' }, { name: 'c', type: 'BINARY' }] });
  const pk = [{ a: '中' }, { b: long('-9223372036854775808') }, { c: Buffer.from([0, 255]) }];
  await t.put(pk, [{ n: long(1) }]);
  const row = await t.row(pk);
  equal(keyOf(row.primaryKey), [['a', '中'], ['b', '-9223372036854775808n'], ['c', 'hex:00ff']]);
});

add('PutRow', 'a row is replaced whole', async (t) => {
  await t.make();
  await t.put('k', [{ a: 'x' }, { b: 'y' }]);
  await t.put('k', [{ c: 'z' }]);
  equal(await t.columns('k'), [['c', 'z']]);
});

add('PutRow', 'the existence of the row is a condition', async (t) => {
  await t.make();
  await t.put('k', [{ a: 'x' }], only(EXPECT_NOT_EXIST));
  await refusedWith(CONDITION_FAILED, () => t.put('k', [{ a: 'y' }], only(EXPECT_NOT_EXIST)));
  await refusedWith(CONDITION_FAILED, () => t.put('other', [{ a: 'y' }], only(EXPECT_EXIST)));
  await t.put('k', [{ a: 'z' }], only(EXPECT_EXIST));
  equal(await t.columns('k'), [['a', 'z']]);
});

add('PutRow', 'a generated key is returned', async (t) => {
  await t.make({ keys: [{ name: 'pk', type: 'STRING' }, { name: 'id', type: 'INTEGER', option: 'AUTO_INCREMENT' }] });
  const pk = [{ pk: 'a' }, { id: ots.PK_AUTO_INCR }];
  const made = [];
  for (const n of [0, 1]) {
    const returned = { returnContent: { returnType: ots.ReturnType.Primarykey } };
    made.push((await t.put(pk, [{ n: long(n) }], only(IGNORE), returned)).row.primaryKey);
  }
  const [first, second] = made.map((primaryKey) => primaryKey[1].value);
  equal(BigInt(first.toString()) < BigInt(second.toString()), true);
  equal(await t.columns([{ pk: 'a' }, { id: second }]), [['n', '1n']]);
});

add('PutRow', 'a key of another name is refused', async (t) => {
  await t.make();
  const expected = [400, 'OTSInvalidPK', 'Validate PK name fail. Input: PK2, Meta: pk.'];
  await refusedWith(expected, () => t.put([{ PK2: 'k' }], [{ a: 'x' }]));
});

add('PutRow', 'a key of another size is refused', async (t) => {
  await t.make();
  const expected = [400, 'OTSInvalidPK', 'Validate PK size fail. Input: 2, Meta: 1.'];
  await refusedWith(expected, () => t.put([{ pk: 'k' }, { x: long(1) }], [{ a: 'x' }]));
});

add('PutRow', 'a table that is not there is refused', (t) => refusedWith(NO_TABLE, () => t.put('k', [{ a: 'x' }])));

add('GetRow', 'there is no row', async (t) => {
  await t.make();
  equal(await t.columns('k'), null);
});

add('GetRow', 'named columns are read', async (t) => {
  await t.make();
  await t.put('k', [{ a: '1' }, { b: '2' }, { c: '3' }]);
  equal(await t.columns('k', { columnsToGet: ['c', 'a'] }), [['a', '1'], ['c', '3']]);
});

add('GetRow', 'a span of columns is read', async (t) => {
  await t.make();
  await t.put('k', [{ a: '1' }, { b: '2' }, { c: '3' }]);
  equal(await t.columns('k', { startColumn: 'b', endColumn: 'c' }), [['b', '2']]);
});

add('GetRow', 'as many versions as asked for', async (t) => {
  await t.make({ versions: 3 });
  const now = Date.now();
  await t.put('k', range(0, 4).map((n) => ({ c: long(n), timestamp: now - n })));
  equal(await t.columns('k', { maxVersions: 10 }), [['c', '0n'], ['c', '1n'], ['c', '2n']]);
  equal(await t.columns('k', { maxVersions: 1 }), [['c', '0n']]);
});

add('GetRow', 'a time range selects versions', async (t) => {
  await t.make({ versions: 5 });
  const now = Date.now();
  await t.put('k', range(0, 4).map((n) => ({ c: long(n), timestamp: now + n })));
  const between = { startTime: String(now + 1), endTime: String(now + 3) };
  equal(await t.columns('k', { maxVersions: 10, timeRange: between }), [['c', '2n'], ['c', '1n']]);
  // This client always asks for a number of versions, so a single time is refused, as by the service.
  const both = [400, 'OTSParameterInvalid', 'Specific tiemstamp and max versions cannot be given at the same time.'];
  await refusedWith(both, () => t.columns('k', { timeRange: { specificTime: String(now + 3) } }));
});

add('GetRow', 'a filter hides the row', async (t) => {
  await t.make();
  await t.put('k', [{ n: long(4) }]);
  equal(await t.columns('k', { columnFilter: is('n', 'EQUAL', long(4)) }), [['n', '4n']]);
  equal(await t.columns('k', { columnFilter: is('n', 'GREATER_THAN', long(4)) }), null);
});

add('GetRow', 'a page of columns is read', async (t) => {
  await t.make();
  await t.put('k', range(0, 5).map((n) => ({ [`c${n}`]: long(n) })));
  equal(await t.columns('k', { columnFilter: new ots.ColumnPaginationFilter(2, 1) }), [['c1', '1n'], ['c2', '2n']]);
});

add('UpdateRow', 'columns are put and deleted', async (t) => {
  await t.make();
  await t.update('k', [{ PUT: [{ a: '1' }, { b: '2' }] }]);
  await t.update('k', [{ PUT: [{ b: '20' }, { c: '30' }] }, { DELETE_ALL: ['a'] }]);
  equal(await t.columns('k'), [['b', '20'], ['c', '30']]);
});

add('UpdateRow', 'one version is deleted', async (t) => {
  await t.make({ versions: 5 });
  const now = Date.now();
  await t.put('k', range(0, 3).map((n) => ({ c: long(n), timestamp: now + n })));
  await t.update('k', [{ DELETE: [{ c: long(now + 1) }] }]);
  equal(await t.columns('k', { maxVersions: 10 }), [['c', '2n'], ['c', '0n']]);
});

add('UpdateRow', 'all versions of a column are deleted', async (t) => {
  await t.make({ versions: 5 });
  const now = Date.now();
  await t.put('k', [{ d: 'x' }, ...range(0, 3).map((n) => ({ c: long(n), timestamp: now + n }))]);
  await t.update('k', [{ DELETE_ALL: ['c'] }]);
  equal(await t.columns('k', { maxVersions: 10 }), [['d', 'x']]);
});

add('UpdateRow', 'increments add up', async (t) => {
  await t.make();
  await t.update('k', [{ INCREMENT: [{ n: long(5) }] }]);
  await t.update('k', [{ INCREMENT: [{ n: long(-7) }] }, { PUT: [{ m: 'x' }] }]);
  equal(await t.columns('k'), [['m', 'x'], ['n', '-2n']]);
});

add('UpdateRow', 'an incremented value is returned', async (t) => {
  await t.make();
  await t.put('k', [{ n: long(40) }]);
  const returned = { returnContent: { returnColumns: ['n'], returnType: ots.ReturnType.AfterModify } };
  const answer = await t.update('k', [{ INCREMENT: [{ n: long(2) }] }], only(IGNORE), returned);
  equal(cellsOf(answer.row.attributes), [['n', '42n']]);
});

add('UpdateRow', 'a column is a condition', async (t) => {
  await t.make();
  await t.put('k', [{ n: long(1) }]);
  const isOne = only(IGNORE, is('n', 'EQUAL', long(1)));
  await t.update('k', [{ PUT: [{ n: long(2) }] }], isOne);
  await refusedWith(CONDITION_FAILED, () => t.update('k', [{ PUT: [{ n: long(3) }] }], isOne));
  equal(await t.columns('k'), [['n', '2n']]);
});

add('DeleteRow', 'the row is gone', async (t) => {
  await t.make();
  await t.put('k', [{ a: 'x' }]);
  await t.delete('k');
  equal(await t.columns('k'), null);
});

add('DeleteRow', 'the existence of the row is a condition', async (t) => {
  await t.make();
  await refusedWith(CONDITION_FAILED, () => t.delete('k', only(EXPECT_EXIST)));
});

add('BatchWriteRow', 'each row has its own result', async (t) => {
  await t.make();
  await t.put('there', [{ n: '1' }]);
  const answer = await t.write(
    putItem('new', [{ n: '1' }]),
    putItem('there', [{ n: '2' }], only(EXPECT_NOT_EXIST)),
    { type: 'UPDATE', condition: only(IGNORE), primaryKey: key('changed'), attributeColumns: [{ PUT: [{ n: '3' }] }] },
    { type: 'DELETE', condition: only(IGNORE), primaryKey: key('gone') },
  );
  equal(answer.tables.map(({ isOk, errorCode, errorMessage }) => [isOk, errorCode, errorMessage]), [
    [true, null, null],
    [false, ...CONDITION_FAILED.slice(1)],
    [true, null, null],
    [true, null, null],
  ]);
  equal(await t.keys(ots.INF_MIN, ots.INF_MAX), [['changed', 'new', 'there'], null]);
});

add('BatchWriteRow', 'a generated key is returned', async (t) => {
  await t.make({ keys: [{ name: 'pk', type: 'STRING' }, { name: 'id', type: 'INTEGER', option: 'AUTO_INCREMENT' }] });
  const item = putItem([{ pk: 'a' }, { id: ots.PK_AUTO_INCR }], [{ n: '1' }]);
  const answer = await t.write({ ...item, returnContent: { returnType: ots.ReturnType.Primarykey } });
  const [made] = answer.tables.map(({ primaryKey }) => primaryKey.map(({ name, value }) => ({ [name]: value })));
  equal(await t.columns(made), [['n', '1']]);
});

add('BatchWriteRow', 'an incremented value is returned', async (t) => {
  await t.make();
  await t.put('k', [{ n: long(40) }]);
  const returned = { returnContent: { returnColumns: ['n'], returnType: ots.ReturnType.AfterModify } };
  const changes = { attributeColumns: [{ INCREMENT: [{ n: long(2) }] }] };
  const item = { type: 'UPDATE', condition: only(IGNORE), primaryKey: key('k'), ...changes, ...returned };
  const answer = await t.write(item);
  equal(cellsOf(answer.tables[0].attributes), [['n', '42n']]);
});

add('BatchWriteRow', 'a batch of nothing is refused', async (t) => {
  await t.make();
  const named = [400, 'OTSParameterInvalid', `No operation is specified for table: '${t.name}'.`];
  await refusedWith(named, () => t.write()); // without a table the client itself refuses
});

add('BatchWriteRow', 'at most 200 rows', async (t) => {
  await t.make({ keys: [{ name: 'pk', type: 'INTEGER' }] });
  const items = range(0, 201).map((n) => putItem(long(n), [{ n: long(n) }]));
  equal((await t.write(...items.slice(0, 200))).tables.every(({ isOk }) => isOk), true);
  await refusedWith([400, 'OTSParameterInvalid', 'Rows count exceeds the upper limit: 200.'], () => t.write(...items));
});

add('BatchGetRow', 'each row has its own result', async (t) => {
  await t.make();
  await t.put('a', [{ n: '1' }]);
  const primaryKey = [key('a'), key('none'), [{ x: 'a' }]];
  const answer = await t.client.batchGetRow({ tables: [{ tableName: t.name, primaryKey, maxVersions: 1 }] });
  const [there, missing, wrong] = answer.tables[0];
  equal([cellsOf(there.attributes), missing.isOk, missing.primaryKey], [[['n', '1']], true, null]);
  const text = 'Validate PK name fail. Input: x, Meta: pk.';
  equal([wrong.isOk, wrong.errorCode, wrong.errorMessage], [false, 'OTSInvalidPK', text]);
});

add('BatchGetRow', 'a batch of nothing is refused', (t) => {
  const expected = [400, 'OTSParameterInvalid', 'No row specified in the request of BatchGetRow.'];
  return refusedWith(expected, () => t.client.batchGetRow({ tables: [] }));
});

add('GetRange', 'forward, from the start to before the end', async (t) => {
  await t.numbered();
  equal(await t.keys(ots.INF_MIN, ots.INF_MAX), [texts(...range(0, 10)), null]);
  equal(await t.keys(long(3), long(6)), [texts(3, 4, 5), null]);
});

add('GetRange', 'backward, from the start to before the end', async (t) => {
  await t.numbered();
  equal(await t.keys(ots.INF_MAX, ots.INF_MIN, BACKWARD), [texts(...range(0, 10).reverse()), null]);
  equal(await t.keys(long(6), long(3), BACKWARD), [texts(6, 5, 4), null]);
});

add('GetRange', 'a limit says where to go on', async (t) => {
  await t.numbered();
  equal(await t.keys(ots.INF_MIN, ots.INF_MAX, FORWARD, { limit: 4 }), [texts(0, 1, 2, 3), '4n']);
  equal(await t.keys(ots.INF_MAX, ots.INF_MIN, BACKWARD, { limit: 4 }), [texts(9, 8, 7, 6), '5n']);
});

add('GetRange', 'keys of two columns are in order', async (t) => {
  await t.make({ keys: [{ name: 'a', type: 'STRING' }, { name: 'b', type: 'INTEGER' }] });
  const keys = ['', 'a', 'a\0', '中'].flatMap((a) => [-1, 0, 1].map((b) => [a, b]));
  const items = keys.map(([a, b]) => putItem([{ a }, { b: long(b) }], [{ n: long(1) }]));
  await t.write(...items.reverse());
  const low = [{ a: ots.INF_MIN }, { b: ots.INF_MIN }];
  const high = [{ a: ots.INF_MAX }, { b: ots.INF_MAX }];
  const { rows, nextStartPrimaryKey } = await t.range(low, high);
  equal(rows.map((row) => keyOf(row.primaryKey)), keys.map(([a, b]) => [['a', a], ['b', `${b}n`]]));
  equal(nextStartPrimaryKey, null);
});

add('GetRange', 'a filter keeps the rows that pass', async (t) => {
  await t.numbered();
  const even = is('even', 'EQUAL', true, false);
  for (const [columnFilter, expected] of [
    [is('n', 'LESS_THAN', long(2)), [0, 1]],
    [even, [0, 2, 4, 6, 8]],
    [composite('AND', even, is('n', 'GREATER_EQUAL', long(5))), [6, 8]],
    [composite('NOT', even), [1, 3, 5, 7, 9]],
  ]) {
    equal(await t.keys(ots.INF_MIN, ots.INF_MAX, FORWARD, { columnFilter }), [texts(...expected), null]);
  }
});

add('GetRange', 'rows without the named columns are left out', async (t) => {
  await t.numbered();
  const found = await t.keys(ots.INF_MIN, ots.INF_MAX, FORWARD, { columnsToGet: ['even'] });
  equal(found, [texts(0, 2, 4, 6, 8), null]);
});

add('GetRange', 'an answer holds at most 5000 rows', async (t) => {
  await t.make({ keys: [{ name: 'pk', type: 'INTEGER' }] });
  for (let first = 0; first < 5200; first += 200) {
    await t.write(...range(first, first + 200).map((n) => putItem(long(n), [{ n: long(n) }])));
  }
  const [keys, next] = await t.keys(ots.INF_MIN, ots.INF_MAX);
  equal([keys.length, next], [5000, '5000n']);
  equal(await t.keys(long(5000), ots.INF_MAX), [texts(...range(5000, 5200)), null]);
});

add('GetRange', 'an answer holds at most four megabytes', async (t) => {
  await t.make({ keys: [{ name: 'pk', type: 'INTEGER' }] });
  for (const n of range(0, 5)) await t.put(long(n), [{ c: 'x'.repeat(1024 * 1024) }]);
  equal(await t.keys(ots.INF_MIN, ots.INF_MAX), [texts(0, 1, 2), '3n']);
});

add('GetRange', 'a row wider than an answer comes in parts', async (t) => {
  await t.make();
  const size = 2 * 1024 * 1024 - 100;
  for (const name of ['a', 'b', 'c']) await t.update('wide', [{ PUT: [{ [name]: Buffer.alloc(size) }] }]);
  const first = await t.range(ots.INF_MIN, ots.INF_MAX);
  equal(first.rows.map((row) => row.attributes.length < 3), [true]);
  equal([keyOf(first.nextStartPrimaryKey), first.nextToken.length > 0], [[['pk', 'wide']], true]);
});

add('GetRange', 'a limit of none is refused', async (t) => {
  await t.make();
  const expected = [400, 'OTSParameterInvalid', 'The limit must be greater than 0.'];
  await refusedWith(expected, () => t.range(ots.INF_MIN, ots.INF_MAX, FORWARD, { limit: -1 }));
});

add('StartLocalTransaction', 'a table without transactions refuses', async (t) => {
  await t.make();
  const text = 'Try to call method using explicit transaction on explicit-transaction-disabled table.';
  const action = () => t.client.startLocalTransaction({ tableName: t.name, primaryKey: key('k') });
  await refusedWith([400, 'OTSParameterInvalid', text], action);
});

add('CommitTransaction', 'a transaction that is not there is refused', (t) => {
  const expected = [400, 'OTSParameterInvalid', 'TransactionID is invalid.'];
  return refusedWith(expected, () => t.client.commitTransaction({ transactionId: 'x' }));
});

add('ListSearchIndex', 'there is none', async (t) => {
  await t.make();
  equal((await t.client.listSearchIndex({ tableName: t.name })).indices, []);
});

add('ListSearchIndex', 'a table that is not there is refused', (t) =>
  refusedWith(NO_TABLE, () => t.client.listSearchIndex({ tableName: t.name })));

const scanQuery = {
  query: { queryType: ots.QueryType.MATCH_ALL_QUERY },
  limit: 10,
  aliveTime: 30,
  currentParallelId: 0,
  maxParallel: 1,
};
const columnToGet = { returnType: ots.ColumnReturnType.RETURN_ALL };
const query = { offset: 0, limit: 1, query: scanQuery.query, getTotalCount: false };
const index = (t) => ({ tableName: t.name, indexName: 'i' });

const aboutIndex = {
  DescribeSearchIndex: (t) => t.client.describeSearchIndex(index(t)),
  UpdateSearchIndex: (t) => t.client.updateSearchIndex({ ...index(t), timeToLive: DAY }),
  DeleteSearchIndex: (t) => t.client.deleteSearchIndex(index(t)),
  DropIndex: (t) => t.client.dropIndex({ mainTableName: t.name, indexName: 'i' }),
};
const searches = {
  Search: (t) => t.client.search({ ...index(t), searchQuery: query, columnToGet }),
  ComputeSplits: (t) =>
    t.client.computeSplits({ tableName: t.name, searchIndexSplitsOptions: { indexName: 'i' } }),
  ParallelScan: (t) =>
    t.client.parallelScan({ ...index(t), columnToGet, sessionId: Buffer.from('session'), scanQuery }),
};

const NO_INDEX = [404, 'OTSObjectNotExist', 'Requested index does not exist.'];
for (const [operation, action] of Object.entries({ ...aboutIndex, ...searches })) {
  const isSearch = operation in searches;
  add(operation, 'an index that is not there is refused', async (t) => {
    await t.make();
    const notFound = [400, 'OTSMetaNotMatch', 'search index [i] does not exist'];
    await refusedWith(isSearch ? notFound : NO_INDEX, () => action(t));
  });
  add(operation, 'a table that is not there is refused', (t) => {
    const notFound = [400, 'OTSParameterInvalid', `table [${t.name}] does not exist`];
    return refusedWith(isSearch ? notFound : NO_TABLE, () => action(t));
  });
}

add('CreateIndex', 'a table that is not there is refused', (t) => {
  const { IndexUpdateMode, IndexType } = ots;
  const indexMeta = {
    name: 'i',
    primaryKey: ['n'],
    definedColumn: [],
    indexUpdateMode: IndexUpdateMode.IUM_ASYNC_INDEX,
    indexType: IndexType.IT_GLOBAL_INDEX,
  };
  return refusedWith(NO_TABLE, () => t.client.createIndex({ mainTableName: t.name, includeBaseData: false, indexMeta }));
});

add('AbortTransaction', 'a transaction that is not there is refused', (t) => {
  const expected = [400, 'OTSParameterInvalid', 'TransactionID is invalid.'];
  return refusedWith(expected, () => t.client.abortTransaction({ transactionId: 'x' }));
});

add('instance', 'one that nobody made is refused', () => {
  const stranger = connect({ instancename: 'blahblahblah' });
  return refusedWith([403, 'OTSAuthFailed', 'The instance is not found.'], () => stranger.listTable({}));
});

add('signature', 'a wrong secret is refused', () => {
  const wrong = connect({ secretAccessKey: 'wrong' });
  return refusedWith([403, 'OTSAuthFailed', ''], () => wrong.listTable({}));
});

add('signature', 'a security token is taken', async () => {
  equal(Array.isArray((await connect({ stsToken: 'token' }).listTable({})).tableNames), true);
});

function connect(options = {}) {
  const access = asked.services.tablestore;
  return new ots.Client({
    accessKeyId: access.access_key_id,
    secretAccessKey: access.access_key_secret,
    endpoint: access.endpoint,
    instancename: asked.instance,
    maxRetries: 0,
    ...options,
  });
}

const client = connect();
runAll((number) => new Table(client, `t${number}`));
