package main

import (
	"encoding/json"
	"net/http"
	"strings"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

func init() { streamCases() }

// trimmed is how the service speaks of a place in a stream that it does not keep.
var trimmed = refusal{404, "OTSTrimmedDataAccess", "Requested stream data is already trimmed or does not exist."}

// streamed makes a table with a stream; the client cannot ask for one when it creates a table.
func (t *table) streamed() *ots.StreamId {
	t.make(strings_(), 1)
	spec := &ots.StreamSpecification{EnableStream: true, ExpirationTime: 24}
	told, err := t.client.UpdateTable(&ots.UpdateTableRequest{TableName: t.name, StreamSpec: spec})
	check(err)
	return told.StreamDetails.StreamId
}

func (t *table) shards(stream *ots.StreamId) []*ots.StreamShard {
	told, err := t.client.DescribeStream(&ots.DescribeStreamRequest{StreamId: stream})
	check(err)
	return told.Shards
}

func (t *table) start(stream *ots.StreamId, shard *ots.ShardId, micros *int64) *ots.ShardIterator {
	told, err := t.client.GetShardIterator(&ots.GetShardIteratorRequest{StreamId: stream, ShardId: shard, Timestamp: micros})
	check(err)
	return told.ShardIterator
}

func (t *table) records(at *ots.ShardIterator, limit int32) *ots.GetStreamRecordResponse {
	told, err := t.client.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: at, Limit: &limit})
	check(err)
	return told
}

// split has the emulator split the table's shard that holds a key, at that key.
func (t *table) split(at string) {
	body, err := json.Marshal(map[string]any{"instance": asked.Instance, "table": t.name, "at": map[string]string{"pk": at}})
	check(err)
	told, err := http.Post(asked.Services.Tablestore.Endpoint+"/_emulator/stream/split", "application/json", strings.NewReader(string(body)))
	check(err)
	equal(told.StatusCode, 200)
	check(told.Body.Close())
}

func streamCases() {
	add("ListStream", "the stream of a table is listed until it is turned off", func(t *table) {
		stream := t.streamed()
		told, err := t.client.ListStream(&ots.ListStreamRequest{TableName: &t.name})
		check(err)
		equal([]any{len(told.Streams), *told.Streams[0].Id, *told.Streams[0].TableName}, []any{1, *stream, t.name})
		equal(told.Streams[0].CreationTime > 0, true)
		_, err = t.client.UpdateTable(&ots.UpdateTableRequest{TableName: t.name, StreamSpec: &ots.StreamSpecification{}})
		check(err)
		told, err = t.client.ListStream(&ots.ListStreamRequest{TableName: &t.name})
		check(err)
		equal(len(told.Streams), 0)
	})
	add("DescribeStream", "shards are described page by page, children with their parent", func(t *table) {
		stream := t.streamed()
		t.split("m")
		two := int32(2)
		told, err := t.client.DescribeStream(&ots.DescribeStreamRequest{StreamId: stream, ShardLimit: &two})
		check(err)
		equal([]any{told.Status, told.ExpirationTime, *told.TableName, len(told.Shards)}, []any{ots.SS_Active, int32(24), t.name, 2})
		rest, err := t.client.DescribeStream(&ots.DescribeStreamRequest{StreamId: stream, InclusiveStartShardId: told.NextShardId})
		check(err)
		equal([]any{len(rest.Shards), rest.NextShardId == nil}, []any{1, true})
		equal([]any{told.Shards[0].FatherShard == nil, *rest.Shards[0].FatherShard}, []any{true, *told.Shards[0].SelfShard})
	})
	add("GetShardIterator", "a shard is read from a time on", func(t *table) {
		stream := t.streamed()
		for _, key := range []string{"a", "b", "c"} {
			t.put(keyOf(key))
		}
		shard := t.shards(stream)[0].SelfShard
		micros := t.records(t.start(stream, shard, nil), 1000).Records[1].Info.Timestamp
		equal(len(t.records(t.start(stream, shard, &micros), 1000).Records), 2)
		micros += 3600e6
		equal(len(t.records(t.start(stream, shard, &micros), 1000).Records), 0)
	})
	add("GetStreamRecord", "a record tells the action, the key, the cells and their versions", func(t *table) {
		stream := t.streamed()
		t.put(keyOf("é"), pair{"i", int64(1)}, pair{"s", "x"}, pair{"d", 0.5}, pair{"b", []byte{0}}, pair{"t", true})
		change := t.updateChange(keyOf("é"))
		change.PutColumn("s", "y")
		change.DeleteColumn("b")
		change.DeleteColumnWithTimestamp("d", 7)
		_, err := t.update(change)
		check(err)
		change = t.updateChange(keyOf("é"))
		change.IncrementColumn("i", 4)
		_, err = t.update(change)
		check(err)
		check(t.delete(keyOf("é"), ignore))
		found := t.records(t.start(stream, t.shards(stream)[0].SelfShard, nil), 1000).Records
		equal(len(found), 4)
		actions, last := []any{}, int64(0)
		for _, record := range found {
			actions = append(actions, record.Type)
			equal(keyPairs(record.PrimaryKey), keyOf("é"))
			equal(record.Info.Timestamp > last, true)
			last = record.Info.Timestamp
		}
		equal(actions, []any{ots.AT_Put, ots.AT_Update, ots.AT_Update, ots.AT_Delete})
		values := []pair{}
		for _, column := range found[0].Columns {
			equal([]any{column.Type, *column.Timestamp > 0}, []any{ots.RCT_Put, true})
			values = append(values, pair{*column.Name, column.Value})
		}
		equal(values, []pair{{"i", int64(1)}, {"s", "x"}, {"d", 0.5}, {"b", []byte{0}}, {"t", true}})
		kinds := []pair{}
		for _, column := range found[1].Columns {
			kinds = append(kinds, pair{*column.Name, column.Type})
		}
		equal(kinds, []pair{{"s", ots.RCT_Put}, {"b", ots.RCT_DeleteAllVersions}, {"d", ots.RCT_DeleteOneVersion}})
		equal(*found[1].Columns[2].Timestamp, int64(7))
		equal(found[2].Columns[0].Value, any(int64(5)))
		equal(len(found[3].Columns), 0)
	})
	add("GetStreamRecord", "a shard that was split ends, and its children go on", func(t *table) {
		stream := t.streamed()
		for _, key := range []string{"a", "z", "b"} {
			t.put(keyOf(key))
		}
		at := t.start(stream, t.shards(stream)[0].SelfShard, nil)
		page := t.records(at, 2)
		equal([]any{len(page.Records), page.NextShardIterator != nil}, []any{2, true})
		t.split("m")
		page = t.records(page.NextShardIterator, 2)
		equal([]any{len(page.Records), page.NextShardIterator == nil}, []any{1, true})
		t.put(keyOf("c"))
		t.put(keyOf("y"))
		for number, key := range []string{"c", "y"} {
			page = t.records(t.start(stream, t.shards(stream)[number+1].SelfShard, nil), 1000)
			equal([]any{len(page.Records), page.NextShardIterator != nil}, []any{1, true})
			equal(keyPairs(page.Records[0].PrimaryKey), keyOf(key))
		}
	})
	add("GetStreamRecord", "a place that is not kept is refused", func(t *table) {
		t.streamed()
		place := ots.ShardIterator("none\t0")
		limit := int32(1)
		_, err := t.client.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: &place, Limit: &limit})
		refused(err, trimmed)
	})
}
