package main

import (
	"errors"
	"fmt"
	"time"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

const (
	ignore = ots.RowExistenceExpectation_IGNORE
	exists = ots.RowExistenceExpectation_EXPECT_EXIST
	absent = ots.RowExistenceExpectation_EXPECT_NOT_EXIST
	day    = 86400
)

type bound int

const (
	low bound = iota
	high
	generated
)

// pair is a name and a value: of a key column, a cell or a column to write.
type pair struct {
	name  string
	value any
}

// version is a cell's value and its version.
type version struct {
	value  any
	millis int64
}

// refusal is what the service answered instead.
type refusal struct {
	status     int
	code, text string
}

var (
	noTable         = refusal{404, "OTSObjectNotExist", "Requested table does not exist."}
	conditionFailed = refusal{403, "OTSConditionCheckFail", "Condition check failed."}
)

func invalid(text string) refusal { return refusal{400, "OTSParameterInvalid", text} }

// table is a client and a table name of the case's own, with verbs for what most cases do.
type table struct {
	client *ots.TableStoreClient
	name   string
}

func connect(secret, token string) *ots.TableStoreClient {
	access := asked.Services.Tablestore
	if secret == "" {
		secret = access.AccessKeySecret
	}
	config := ots.NewDefaultTableStoreConfig()
	config.RetryTimes = 0
	return ots.NewClientWithConfig(access.Endpoint, asked.Instance, access.AccessKeyId, secret, token, config)
}

func schema(keys ...pair) *ots.TableMeta {
	meta := new(ots.TableMeta)
	for _, key := range keys {
		meta.AddPrimaryKeyColumn(key.name, key.value.(ots.PrimaryKeyType))
	}
	return meta
}

func strings_() *ots.TableMeta { return schema(pair{"pk", ots.PrimaryKeyType_STRING}) }
func integers() *ots.TableMeta { return schema(pair{"pk", ots.PrimaryKeyType_INTEGER}) }
func keyOf(value any) []pair   { return []pair{{"pk", value}} }
func filterOf(f ots.ColumnFilter) func(*ots.RangeRowQueryCriteria) {
	return func(criteria *ots.RangeRowQueryCriteria) { criteria.Filter = f }
}

func (t *table) create(meta *ots.TableMeta, ttl, versions int) error {
	meta.TableName = t.name
	_, err := t.client.CreateTable(&ots.CreateTableRequest{
		TableMeta: meta, TableOption: ots.NewTableOption(ttl, versions), ReservedThroughput: new(ots.ReservedThroughput),
	})
	return err
}

func (t *table) make(meta *ots.TableMeta, versions int) { check(t.create(meta, -1, versions)) }

func (t *table) describe() (*ots.DescribeTableResponse, error) {
	return t.client.DescribeTable(&ots.DescribeTableRequest{TableName: t.name})
}

func built(key []pair) *ots.PrimaryKey {
	pk := new(ots.PrimaryKey)
	for _, column := range key {
		switch column.value {
		case low:
			pk.AddPrimaryKeyColumnWithMinValue(column.name)
		case high:
			pk.AddPrimaryKeyColumnWithMaxValue(column.name)
		case generated:
			pk.AddPrimaryKeyColumnWithAutoIncrement(column.name)
		default:
			pk.AddPrimaryKeyColumn(column.name, column.value)
		}
	}
	return pk
}

func (t *table) putChange(key []pair, expect ots.RowExistenceExpectation, columns ...pair) *ots.PutRowChange {
	change := &ots.PutRowChange{TableName: t.name, PrimaryKey: built(key)}
	for _, column := range columns {
		if cell, isVersion := column.value.(version); isVersion {
			change.AddColumnWithTimestamp(column.name, cell.value, cell.millis)
		} else {
			change.AddColumn(column.name, column.value)
		}
	}
	change.SetCondition(expect)
	return change
}

func (t *table) tryPut(key []pair, expect ots.RowExistenceExpectation, columns ...pair) error {
	_, err := t.client.PutRow(&ots.PutRowRequest{PutRowChange: t.putChange(key, expect, columns...)})
	return err
}

func (t *table) put(key []pair, columns ...pair) { check(t.tryPut(key, ignore, columns...)) }

func (t *table) updateChange(key []pair) *ots.UpdateRowChange {
	change := &ots.UpdateRowChange{TableName: t.name, PrimaryKey: built(key)}
	change.SetCondition(ignore)
	return change
}

func (t *table) update(change *ots.UpdateRowChange) (*ots.UpdateRowResponse, error) {
	return t.client.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: change})
}

func (t *table) deleteChange(key []pair, expect ots.RowExistenceExpectation) *ots.DeleteRowChange {
	change := &ots.DeleteRowChange{TableName: t.name, PrimaryKey: built(key)}
	change.SetCondition(expect)
	return change
}

func (t *table) delete(key []pair, expect ots.RowExistenceExpectation) error {
	_, err := t.client.DeleteRow(&ots.DeleteRowRequest{DeleteRowChange: t.deleteChange(key, expect)})
	return err
}

func (t *table) row(key []pair, with ...func(*ots.SingleRowQueryCriteria)) *ots.GetRowResponse {
	criteria := &ots.SingleRowQueryCriteria{TableName: t.name, PrimaryKey: built(key), MaxVersion: 1}
	for _, set := range with {
		set(criteria)
	}
	answer, err := t.client.GetRow(&ots.GetRowRequest{SingleRowQueryCriteria: criteria})
	check(err)
	return answer
}

// columns are the row's names and values; nil without a row.
func (t *table) columns(key []pair, with ...func(*ots.SingleRowQueryCriteria)) []pair {
	answer := t.row(key, with...)
	if len(answer.PrimaryKey.PrimaryKeys) == 0 {
		return nil
	}
	return pairs(answer.Columns)
}

func pairs(columns []*ots.AttributeColumn) []pair {
	found := []pair{}
	for _, column := range columns {
		found = append(found, pair{column.ColumnName, column.Value})
	}
	return found
}

func keyPairs(key *ots.PrimaryKey) []pair {
	found := []pair{}
	for _, column := range key.PrimaryKeys {
		found = append(found, pair{column.ColumnName, column.Value})
	}
	return found
}

func (t *table) tryScan(from, to []pair, with ...func(*ots.RangeRowQueryCriteria)) (*ots.GetRangeResponse, error) {
	criteria := &ots.RangeRowQueryCriteria{
		TableName: t.name, StartPrimaryKey: built(from), EndPrimaryKey: built(to), Direction: ots.FORWARD, MaxVersion: 1,
	}
	for _, set := range with {
		set(criteria)
	}
	return t.client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: criteria})
}

// scan gives the values of the first key column of one answer, and that of where to go on.
func (t *table) scan(from, to any, with ...func(*ots.RangeRowQueryCriteria)) (found []any, next any) {
	answer, err := t.tryScan(keyOf(from), keyOf(to), with...)
	check(err)
	for _, row := range answer.Rows {
		found = append(found, row.PrimaryKey.PrimaryKeys[0].Value)
	}
	if answer.NextStartPrimaryKey != nil {
		next = answer.NextStartPrimaryKey.PrimaryKeys[0].Value
	}
	return found, next
}

func backward(criteria *ots.RangeRowQueryCriteria) { criteria.Direction = ots.BACKWARD }

func limit(rows int32) func(*ots.RangeRowQueryCriteria) {
	return func(criteria *ots.RangeRowQueryCriteria) { criteria.Limit = rows }
}

func (t *table) write(changes ...ots.RowChange) (*ots.BatchWriteRowResponse, error) {
	request := new(ots.BatchWriteRowRequest)
	for _, change := range changes {
		request.AddRowChange(change)
	}
	return t.client.BatchWriteRow(request)
}

// numbered makes rows 0 to 9 with `n`, even ones with `even`.
func (t *table) numbered() {
	t.make(integers(), 1)
	changes := []ots.RowChange{}
	for n := int64(0); n < 10; n++ {
		columns := []pair{{"n", n}}
		if n%2 == 0 {
			columns = append(columns, pair{"even", true})
		}
		changes = append(changes, t.putChange(keyOf(n), ignore, columns...))
	}
	_, err := t.write(changes...)
	check(err)
}

// numbers counts from the first to the last, up or down.
func numbers(first, last int64) []any {
	found := []any{}
	for n := first; n <= last; n++ {
		found = append(found, n)
	}
	for n := first; n >= last && first > last; n-- {
		found = append(found, n)
	}
	return found
}

func is(name string, comparator ots.ComparatorType, value any) *ots.SingleColumnCondition {
	return ots.NewSingleColumnCondition(name, comparator, value)
}

func refused(err error, expected refusal) {
	var told *ots.OtsError
	if !errors.As(err, &told) {
		panic(fmt.Sprintf("it was not refused by the service: %v", err))
	}
	if expected.text == "" {
		told.Message = ""
	}
	equal(refusal{told.HttpStatusCode, told.Code, told.Message}, expected)
}

func millis() int64 { return time.Now().UnixMilli() }
