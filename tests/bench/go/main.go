// The official Go client's scan into csv: its GetRange, with answers that are in memory already.
//
// Started with a file of answers, each behind its length (4 bytes, little endian). For each line on standard input it
// reads the whole table once and prints the rows, the seconds and the CPU seconds of it.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

// canned answers requests with what was prepared, in its order.
type canned struct {
	bodies [][]byte
	next   int
}

func (c *canned) RoundTrip(request *http.Request) (*http.Response, error) {
	body := c.bodies[c.next]
	c.next++
	return &http.Response{
		StatusCode: 200, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{}, Request: request,
	}, nil
}

var attributes = []string{
	"city", "driver", "note", "plate", "fix", "mileage", "satellites", "latitude", "longitude", "moving",
}

func main() {
	runtime.GOMAXPROCS(1)
	bodies := read(os.Args[1])
	version := "unknown"
	if build, isKnown := debug.ReadBuildInfo(); isKnown {
		for _, one := range build.Deps {
			if one.Path == "github.com/aliyun/aliyun-tablestore-go-sdk" {
				version = one.Version
			}
		}
	}
	fmt.Println(runtime.Version(), version)
	turns := bufio.NewScanner(os.Stdin)
	for turns.Scan() {
		runtime.GC()
		began, cpu := time.Now(), used()
		rows := scan(bodies)
		fmt.Println(rows, time.Since(began).Seconds(), used()-cpu)
	}
}

func scan(bodies [][]byte) int {
	client := ots.NewClientWithConfig("http://canned", "bench", "id", "secret", "", &ots.TableStoreConfig{
		RetryTimes: 1, MaxRetryTime: time.Second, Transport: &canned{bodies: bodies},
	})
	start, end := new(ots.PrimaryKey), new(ots.PrimaryKey)
	for _, name := range []string{"device", "number"} {
		start.AddPrimaryKeyColumnWithMinValue(name)
		end.AddPrimaryKeyColumnWithMaxValue(name)
	}
	out, rows := csv.NewWriter(io.Discard), 0
	record := make([]string, 2+len(attributes))
	for start != nil {
		answer, err := client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: &ots.RangeRowQueryCriteria{
			TableName: "readings", StartPrimaryKey: start, EndPrimaryKey: end, MaxVersion: 1, Direction: ots.FORWARD,
		}})
		check(err)
		for _, row := range answer.Rows {
			for number, key := range row.PrimaryKey.PrimaryKeys {
				record[number] = text(key.Value)
			}
			fill(record[2:], row.Columns)
			check(out.Write(record))
			rows++
		}
		start = answer.NextStartPrimaryKey
	}
	out.Flush()
	return rows
}

// fill puts each cell where its column is; the service sends cells in the order of their names.
func fill(record []string, cells []*ots.AttributeColumn) {
	for number := range record {
		record[number] = ""
	}
	for _, cell := range cells {
		for number, name := range attributes {
			if cell.ColumnName == name {
				record[number] = text(cell.Value)
				break
			}
		}
	}
}

func text(value interface{}) string {
	switch found := value.(type) {
	case string:
		return found
	case int64:
		return strconv.FormatInt(found, 10)
	case float64:
		return strconv.FormatFloat(found, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(found)
	}
	return fmt.Sprint(value)
}

func read(path string) [][]byte {
	all, err := os.ReadFile(path)
	check(err)
	bodies := [][]byte{}
	for len(all) > 0 {
		size := binary.LittleEndian.Uint32(all)
		bodies = append(bodies, all[4:4+size])
		all = all[4+size:]
	}
	return bodies
}

func used() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
