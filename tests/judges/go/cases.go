package main

import (
	"math"
	"strings"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

func init() {
	tableCases()
	writeCases()
	readCases()
	updateCases()
	batchCases()
	rangeCases()
	otherCases()
}

func tableCases() {
	add("CreateTable", "keys, options and defined columns are kept", func(t *table) {
		meta := schema(pair{"a", ots.PrimaryKeyType_STRING}, pair{"b", ots.PrimaryKeyType_INTEGER}, pair{"c", ots.PrimaryKeyType_BINARY})
		meta.AddPrimaryKeyColumnOption("d", ots.PrimaryKeyType_INTEGER, ots.AUTO_INCREMENT)
		meta.AddDefinedColumn("x", ots.DefinedColumn_DOUBLE)
		check(t.create(meta, 10*day, 3))
		told, err := t.describe()
		check(err)
		found := []pair{}
		for _, key := range told.TableMeta.SchemaEntry {
			found = append(found, pair{*key.Name, *key.Type})
		}
		equal(found, []pair{
			{"a", ots.PrimaryKeyType_STRING}, {"b", ots.PrimaryKeyType_INTEGER},
			{"c", ots.PrimaryKeyType_BINARY}, {"d", ots.PrimaryKeyType_INTEGER},
		})
		equal(*told.TableMeta.SchemaEntry[3].Option, ots.AUTO_INCREMENT)
		equal([]int{told.TableOption.TimeToAlive, told.TableOption.MaxVersion}, []int{10 * day, 3})
	})
	add("CreateTable", "a table is not made twice", func(t *table) {
		t.make(strings_(), 1)
		refused(t.create(strings_(), -1, 1), refusal{409, "OTSObjectAlreadyExist", "Requested table already exists."})
	})
	add("CreateTable", "a key column is not named twice", func(t *table) {
		meta := schema(pair{"PK0", ots.PrimaryKeyType_STRING}, pair{"PK0", ots.PrimaryKeyType_INTEGER})
		refused(t.create(meta, -1, 1), invalid("Duplicated primary key name: 'PK0'."))
	})
	add("DescribeTable", "a table that is not there is refused", func(t *table) {
		_, err := t.describe()
		refused(err, noTable)
	})
	add("UpdateTable", "a stream is turned on and off", func(t *table) {
		t.make(strings_(), 1)
		set := func(spec *ots.StreamSpecification) *ots.StreamDetails {
			told, err := t.client.UpdateTable(&ots.UpdateTableRequest{TableName: t.name, StreamSpec: spec})
			check(err)
			return told.StreamDetails
		}
		on := set(&ots.StreamSpecification{EnableStream: true, ExpirationTime: 24})
		equal([]any{on.EnableStream, on.ExpirationTime, on.LastEnableTime > 0}, []any{true, int32(24), true})
		told, err := t.describe()
		check(err)
		equal(*told.StreamDetails.StreamId, *on.StreamId)
		equal(set(&ots.StreamSpecification{EnableStream: false}).EnableStream, false)
	})
	add("UpdateTable", "options change", func(t *table) {
		t.make(strings_(), 1)
		_, err := t.client.UpdateTable(&ots.UpdateTableRequest{TableName: t.name, TableOption: ots.NewTableOption(2*day, 5)})
		check(err)
		told, err := t.describe()
		check(err)
		equal([]int{told.TableOption.TimeToAlive, told.TableOption.MaxVersion}, []int{2 * day, 5})
	})
	add("ListTable", "a table is listed", func(t *table) {
		t.make(strings_(), 1)
		told, err := t.client.ListTable()
		check(err)
		equal(strings.Contains(" "+strings.Join(told.TableNames, " ")+" ", " "+t.name+" "), true)
	})
	add("DeleteTable", "a deleted table is gone", func(t *table) {
		t.make(strings_(), 1)
		_, err := t.client.DeleteTable(&ots.DeleteTableRequest{TableName: t.name})
		check(err)
		_, err = t.describe()
		refused(err, noTable)
	})
}

func writeCases() {
	add("PutRow", "every type of value comes back", func(t *table) {
		t.make(strings_(), 1)
		values := []pair{
			{"binary", []byte{0, 1, 254, 255}}, {"double", -1.5e300}, {"empty", ""}, {"false", false},
			{"largest", int64(math.MaxInt64)}, {"least", int64(math.MinInt64)}, {"text", "é 中 😀"}, {"true", true},
		}
		t.put(keyOf("k"), values...)
		equal(t.columns(keyOf("k")), values)
	})
	add("PutRow", "every type of key comes back", func(t *table) {
		t.make(schema(pair{"a", ots.PrimaryKeyType_STRING}, pair{"b", ots.PrimaryKeyType_INTEGER}, pair{"c", ots.PrimaryKeyType_BINARY}), 1)
		key := []pair{{"a", "中"}, {"b", int64(math.MinInt64)}, {"c", []byte{0, 255}}}
		t.put(key, pair{"n", int64(1)})
		equal(keyPairs(&t.row(key).PrimaryKey), key)
	})
	add("PutRow", "a row is replaced whole", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"a", int64(1)}, pair{"b", int64(2)})
		t.put(keyOf("k"), pair{"c", int64(3)})
		equal(t.columns(keyOf("k")), []pair{{"c", int64(3)}})
	})
	add("PutRow", "the existence of the row is a condition", func(t *table) {
		t.make(strings_(), 1)
		check(t.tryPut(keyOf("k"), absent, pair{"a", int64(1)}))
		refused(t.tryPut(keyOf("k"), absent), conditionFailed)
		refused(t.tryPut(keyOf("other"), exists), conditionFailed)
		check(t.tryPut(keyOf("k"), exists, pair{"a", int64(2)}))
		equal(t.columns(keyOf("k")), []pair{{"a", int64(2)}})
	})
	add("PutRow", "a generated key is returned", func(t *table) {
		meta := strings_()
		meta.AddPrimaryKeyColumnOption("id", ots.PrimaryKeyType_INTEGER, ots.AUTO_INCREMENT)
		t.make(meta, 1)
		made := [][]pair{}
		for n := int64(0); n < 2; n++ {
			change := t.putChange([]pair{{"pk", "a"}, {"id", generated}}, ignore, pair{"n", n})
			change.SetReturnPk()
			answer, err := t.client.PutRow(&ots.PutRowRequest{PutRowChange: change})
			check(err)
			made = append(made, keyPairs(&answer.PrimaryKey))
		}
		equal(made[0][1].value.(int64) < made[1][1].value.(int64), true)
		equal(t.columns(made[1]), []pair{{"n", int64(1)}})
	})
	add("PutRow", "a key of another name is refused", func(t *table) {
		t.make(strings_(), 1)
		expected := refusal{400, "OTSInvalidPK", "Validate PK name fail. Input: PK2, Meta: pk."}
		refused(t.tryPut([]pair{{"PK2", "k"}}, ignore, pair{"n", int64(1)}), expected)
	})
	add("PutRow", "a key of another size is refused", func(t *table) {
		t.make(strings_(), 1)
		expected := refusal{400, "OTSInvalidPK", "Validate PK size fail. Input: 2, Meta: 1."}
		refused(t.tryPut([]pair{{"pk", "k"}, {"x", int64(1)}}, ignore, pair{"n", int64(1)}), expected)
	})
	add("PutRow", "a table that is not there is refused", func(t *table) {
		refused(t.tryPut(keyOf("k"), ignore, pair{"n", int64(1)}), noTable)
	})
}

func readCases() {
	add("GetRow", "there is no row", func(t *table) {
		t.make(strings_(), 1)
		equal(t.columns(keyOf("k")), []pair(nil))
	})
	add("GetRow", "named columns are read", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"a", int64(1)}, pair{"b", int64(2)}, pair{"c", int64(3)})
		found := t.columns(keyOf("k"), func(c *ots.SingleRowQueryCriteria) { c.ColumnsToGet = []string{"c", "a"} })
		equal(found, []pair{{"a", int64(1)}, {"c", int64(3)}})
	})
	add("GetRow", "a span of columns is read", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"a", int64(1)}, pair{"b", int64(2)}, pair{"c", int64(3)})
		found := t.columns(keyOf("k"), func(c *ots.SingleRowQueryCriteria) { c.SetStartColumn("b"); c.SetEndtColumn("c") })
		equal(found, []pair{{"b", int64(2)}})
	})
	add("GetRow", "as many versions as asked for", func(t *table) {
		t.make(strings_(), 3)
		now := millis()
		for n := int64(0); n < 4; n++ {
			change := t.updateChange(keyOf("k"))
			change.Columns = append(change.Columns, ots.ColumnToUpdate{ColumnName: "c", Value: n, Timestamp: now - n, HasTimestamp: true})
			_, err := t.update(change)
			check(err)
		}
		found := t.columns(keyOf("k"), func(c *ots.SingleRowQueryCriteria) { c.MaxVersion = 10 })
		equal(found, []pair{{"c", int64(0)}, {"c", int64(1)}, {"c", int64(2)}})
		equal(t.columns(keyOf("k")), []pair{{"c", int64(0)}})
	})
	add("GetRow", "a time range selects versions", func(t *table) {
		t.make(strings_(), 5)
		now := millis()
		t.putVersions(now, 4)
		between := func(c *ots.SingleRowQueryCriteria) {
			c.MaxVersion, c.TimeRange = 10, &ots.TimeRange{Start: now + 1, End: now + 3}
		}
		equal(t.columns(keyOf("k"), between), []pair{{"c", int64(2)}, {"c", int64(1)}})
		exactly := func(c *ots.SingleRowQueryCriteria) { c.MaxVersion, c.TimeRange = 0, &ots.TimeRange{Specific: now + 3} }
		equal(t.columns(keyOf("k"), exactly), []pair{{"c", int64(3)}})
	})
	add("GetRow", "a filter hides the row", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"n", int64(4)})
		passes := func(c *ots.SingleRowQueryCriteria) { c.Filter = is("n", ots.CT_EQUAL, int64(4)) }
		fails := func(c *ots.SingleRowQueryCriteria) { c.Filter = is("n", ots.CT_GREATER_THAN, int64(4)) }
		equal(t.columns(keyOf("k"), passes), []pair{{"n", int64(4)}})
		equal(t.columns(keyOf("k"), fails), []pair(nil))
	})
	add("GetRow", "a page of columns is read", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"c0", int64(0)}, pair{"c1", int64(1)}, pair{"c2", int64(2)}, pair{"c3", int64(3)})
		page := func(c *ots.SingleRowQueryCriteria) { c.Filter = &ots.PaginationFilter{Offset: 1, Limit: 2} }
		equal(t.columns(keyOf("k"), page), []pair{{"c1", int64(1)}, {"c2", int64(2)}})
	})
}

func (t *table) putVersions(first int64, count int64) {
	columns := []pair{}
	for n := int64(0); n < count; n++ {
		columns = append(columns, pair{"c", version{n, first + n}})
	}
	t.put(keyOf("k"), columns...)
}

func updateCases() {
	add("UpdateRow", "columns are put and deleted", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"a", int64(1)}, pair{"b", int64(2)})
		change := t.updateChange(keyOf("k"))
		change.PutColumn("b", int64(20))
		change.PutColumn("c", int64(30))
		change.DeleteColumn("a")
		_, err := t.update(change)
		check(err)
		equal(t.columns(keyOf("k")), []pair{{"b", int64(20)}, {"c", int64(30)}})
	})
	allVersions := func(c *ots.SingleRowQueryCriteria) { c.MaxVersion = 10 }
	add("UpdateRow", "one version is deleted", func(t *table) {
		t.make(strings_(), 5)
		now := millis()
		t.putVersions(now, 3)
		change := t.updateChange(keyOf("k"))
		change.DeleteColumnWithTimestamp("c", now+1)
		_, err := t.update(change)
		check(err)
		equal(t.columns(keyOf("k"), allVersions), []pair{{"c", int64(2)}, {"c", int64(0)}})
	})
	add("UpdateRow", "all versions of a column are deleted", func(t *table) {
		t.make(strings_(), 5)
		t.putVersions(millis(), 3)
		change := t.updateChange(keyOf("k"))
		change.DeleteColumn("c")
		change.PutColumn("d", int64(1))
		_, err := t.update(change)
		check(err)
		equal(t.columns(keyOf("k"), allVersions), []pair{{"d", int64(1)}})
	})
	add("UpdateRow", "increments add up", func(t *table) {
		t.make(strings_(), 1)
		for _, by := range []int64{5, -7} {
			change := t.updateChange(keyOf("k"))
			change.IncrementColumn("n", by)
			_, err := t.update(change)
			check(err)
		}
		equal(t.columns(keyOf("k")), []pair{{"n", int64(-2)}})
	})
	add("UpdateRow", "an incremented value is returned", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"n", int64(40)})
		change := t.updateChange(keyOf("k"))
		change.IncrementColumn("n", 2)
		change.SetReturnIncrementValue()
		change.AppendIncrementColumnToReturn("n")
		answer, err := t.update(change)
		check(err)
		equal(pairs(answer.Columns), []pair{{"n", int64(42)}})
	})
	add("UpdateRow", "a column is a condition", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"n", int64(1)})
		change := func(value int64) *ots.UpdateRowChange {
			change := t.updateChange(keyOf("k"))
			change.PutColumn("n", value)
			change.SetColumnCondition(is("n", ots.CT_EQUAL, int64(1)))
			return change
		}
		_, err := t.update(change(2))
		check(err)
		_, err = t.update(change(3))
		refused(err, conditionFailed)
		equal(t.columns(keyOf("k")), []pair{{"n", int64(2)}})
	})
	add("DeleteRow", "the row is gone", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("k"), pair{"n", int64(1)})
		check(t.delete(keyOf("k"), ignore))
		equal(t.columns(keyOf("k")), []pair(nil))
	})
	add("DeleteRow", "the existence of the row is a condition", func(t *table) {
		t.make(strings_(), 1)
		refused(t.delete(keyOf("k"), exists), conditionFailed)
	})
}

func batchCases() {
	add("BatchWriteRow", "each row has its own result", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("there"), pair{"n", int64(1)})
		update := t.updateChange(keyOf("changed"))
		update.PutColumn("n", int64(3))
		answer, err := t.write(
			t.putChange(keyOf("new"), ignore, pair{"n", int64(1)}),
			t.putChange(keyOf("there"), absent, pair{"n", int64(2)}),
			update,
			t.deleteChange(keyOf("gone"), ignore),
		)
		check(err)
		found := []ots.Error{}
		for _, result := range answer.TableToRowsResult[t.name] {
			found = append(found, result.Error)
		}
		equal(found, []ots.Error{{}, {Code: conditionFailed.code, Message: conditionFailed.text}, {}, {}})
		keys, next := t.scan(low, high)
		equal(keys, []any{"changed", "new", "there"})
		equal(next, nil)
	})
	add("BatchWriteRow", "a batch of nothing is refused", func(t *table) {
		_, err := t.write()
		refused(err, invalid("No row is specified in BatchWriteRow."))
	})
	add("BatchWriteRow", "at most 200 rows", func(t *table) {
		t.make(integers(), 1)
		changes := []ots.RowChange{}
		for n := int64(0); n < 201; n++ {
			changes = append(changes, t.putChange(keyOf(n), ignore, pair{"n", n}))
		}
		_, err := t.write(changes[:200]...)
		check(err)
		_, err = t.write(changes...)
		refused(err, invalid("Rows count exceeds the upper limit: 200."))
	})
	add("BatchGetRow", "each row has its own result", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("a"), pair{"n", int64(1)})
		criteria := &ots.MultiRowQueryCriteria{TableName: t.name, MaxVersion: 1}
		for _, key := range [][]pair{keyOf("a"), keyOf("none"), {{"x", "a"}}} {
			criteria.AddRow(built(key))
		}
		answer, err := t.client.BatchGetRow(&ots.BatchGetRowRequest{MultiRowQueryCriteria: []*ots.MultiRowQueryCriteria{criteria}})
		check(err)
		found := answer.TableToRowsResult[t.name]
		equal(pairs(found[0].Columns), []pair{{"n", int64(1)}})
		equal([]any{found[1].IsSucceed, len(found[1].PrimaryKey.PrimaryKeys)}, []any{true, 0})
		equal(found[2].Error, ots.Error{Code: "OTSInvalidPK", Message: "Validate PK name fail. Input: x, Meta: pk."})
	})
	add("BatchGetRow", "a batch of nothing is refused", func(t *table) {
		_, err := t.client.BatchGetRow(new(ots.BatchGetRowRequest))
		refused(err, invalid("No row specified in the request of BatchGetRow."))
	})
}

func rangeCases() {
	scanned := func(t *table, expected []any, expectedNext, from, to any, with ...func(*ots.RangeRowQueryCriteria)) {
		keys, next := t.scan(from, to, with...)
		equal(keys, expected)
		equal(next, expectedNext)
	}
	add("GetRange", "forward, from the start to before the end", func(t *table) {
		t.numbered()
		scanned(t, numbers(0, 9), nil, low, high)
		scanned(t, numbers(3, 5), nil, int64(3), int64(6))
	})
	add("GetRange", "backward, from the start to before the end", func(t *table) {
		t.numbered()
		scanned(t, numbers(9, 0), nil, high, low, backward)
		scanned(t, numbers(6, 4), nil, int64(6), int64(3), backward)
	})
	add("GetRange", "a limit says where to go on", func(t *table) {
		t.numbered()
		scanned(t, numbers(0, 3), int64(4), low, high, limit(4))
		scanned(t, numbers(9, 6), int64(5), high, low, backward, limit(4))
	})
	add("GetRange", "keys of two columns are in order", func(t *table) {
		t.make(schema(pair{"a", ots.PrimaryKeyType_STRING}, pair{"b", ots.PrimaryKeyType_INTEGER}), 1)
		keys, changes := [][]pair{}, []ots.RowChange{}
		for _, a := range []string{"", "a", "a\x00", "中"} {
			for b := int64(-1); b <= 1; b++ {
				keys = append(keys, []pair{{"a", a}, {"b", b}})
			}
		}
		for n := len(keys) - 1; n >= 0; n-- {
			changes = append(changes, t.putChange(keys[n], ignore, pair{"n", int64(1)}))
		}
		_, err := t.write(changes...)
		check(err)
		answer, err := t.tryScan([]pair{{"a", low}, {"b", low}}, []pair{{"a", high}, {"b", high}})
		check(err)
		found := [][]pair{}
		for _, row := range answer.Rows {
			found = append(found, keyPairs(row.PrimaryKey))
		}
		equal(found, keys)
	})
	add("GetRange", "a filter keeps the rows that pass", func(t *table) {
		t.numbered()
		even := is("even", ots.CT_EQUAL, true)
		even.FilterIfMissing = true
		both, not := ots.NewCompositeColumnCondition(ots.LO_AND), ots.NewCompositeColumnCondition(ots.LO_NOT)
		both.AddFilter(even)
		both.AddFilter(is("n", ots.CT_GREATER_EQUAL, int64(5)))
		not.AddFilter(even)
		scanned(t, numbers(0, 1), nil, low, high, filterOf(is("n", ots.CT_LESS_THAN, int64(2))))
		scanned(t, []any{int64(0), int64(2), int64(4), int64(6), int64(8)}, nil, low, high, filterOf(even))
		scanned(t, []any{int64(6), int64(8)}, nil, low, high, filterOf(both))
		scanned(t, []any{int64(1), int64(3), int64(5), int64(7), int64(9)}, nil, low, high, filterOf(not))
	})
	add("GetRange", "rows without the named columns are left out", func(t *table) {
		t.numbered()
		even := func(c *ots.RangeRowQueryCriteria) { c.ColumnsToGet = []string{"even"} }
		scanned(t, []any{int64(0), int64(2), int64(4), int64(6), int64(8)}, nil, low, high, even)
	})
	add("GetRange", "an answer holds at most 5000 rows", func(t *table) {
		t.make(integers(), 1)
		for first := int64(0); first < 5200; first += 200 {
			changes := []ots.RowChange{}
			for n := first; n < first+200; n++ {
				changes = append(changes, t.putChange(keyOf(n), ignore, pair{"n", n}))
			}
			_, err := t.write(changes...)
			check(err)
		}
		scanned(t, numbers(0, 4999), int64(5000), low, high)
		scanned(t, numbers(5000, 5199), nil, int64(5000), high)
	})
	add("GetRange", "an answer holds at most four megabytes", func(t *table) {
		t.make(integers(), 1)
		for n := int64(0); n < 5; n++ {
			t.put(keyOf(n), pair{"c", make([]byte, 1024*1024)})
		}
		scanned(t, numbers(0, 2), int64(3), low, high)
	})
	add("GetRange", "a matrix is read, with rows of every type", func(t *table) {
		t.make(integers(), 1)
		cells := [][]pair{
			{{"b", true}, {"d", -1.5}, {"n", int64(math.MinInt64)}, {"s", "中"}, {"x", []byte{0, 255, 10}}},
			{{"n", int64(0)}},
			{{"n", ""}, {"s", math.MaxFloat64}},
		}
		for id, one := range cells {
			t.put(keyOf(int64(id)), one...)
		}
		answer, err := t.tryScan(keyOf(low), keyOf(high), func(c *ots.RangeRowQueryCriteria) {
			c.DataBlockType, c.ColumnsToGet = ots.SimpleRowMatrix, []string{"pk", "b", "d", "n", "s", "x"}
		})
		check(err)
		found := [][]pair{}
		for id, row := range answer.Rows {
			equal(row.PrimaryKey.PrimaryKeys[0].Value, int64(id))
			found = append(found, pairs(row.Columns))
		}
		equal([]any{answer.DataBlockType, found}, []any{ots.SimpleRowMatrix, cells})
	})
	add("GetRange", "a limit of none is refused", func(t *table) {
		t.make(strings_(), 1)
		_, err := t.tryScan(keyOf(low), keyOf(high), limit(-1))
		refused(err, invalid("The limit must be greater than 0."))
	})
}

func otherCases() {
	add("ComputeSplitPointsBySize", "the splits are the whole range", func(t *table) {
		t.numbered()
		answer, err := t.client.ComputeSplitPointsBySize(&ots.ComputeSplitPointsBySizeRequest{TableName: t.name, SplitSize: 1})
		check(err)
		first, last := answer.Splits[0], answer.Splits[len(answer.Splits)-1]
		bounds := []ots.PrimaryKeyOption{first.LowerBound.PrimaryKeys[0].PrimaryKeyOption, last.UpperBound.PrimaryKeys[0].PrimaryKeyOption}
		equal(bounds, []ots.PrimaryKeyOption{ots.MIN, ots.MAX})
	})
	add("StartLocalTransaction", "a table without transactions refuses", func(t *table) {
		t.make(strings_(), 1)
		_, err := t.client.StartLocalTransaction(&ots.StartLocalTransactionRequest{TableName: t.name, PrimaryKey: built(keyOf("k"))})
		refused(err, invalid("Try to call method using explicit transaction on explicit-transaction-disabled table."))
	})
	add("CommitTransaction", "a transaction that is not there is refused", func(t *table) {
		id := "x"
		_, err := t.client.CommitTransaction(&ots.CommitTransactionRequest{TransactionId: &id})
		refused(err, invalid("TransactionID is invalid."))
	})
	add("signature", "a wrong secret is refused", func(t *table) {
		_, err := connect("wrong", "").ListTable()
		refused(err, refusal{403, "OTSAuthFailed", ""})
	})
	add("signature", "a security token is taken", func(t *table) {
		_, err := connect("", "token").ListTable()
		check(err)
	})
}
