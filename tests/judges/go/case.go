package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
)

// Cases of one client: run one after the other, one JSON line for each, as python/case.py does.

type services struct {
	Endpoint        string `json:"endpoint"`
	AccessKeyId     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
}

// asked is what the judge was started with.
var asked struct {
	Client   string
	Instance string
	Services struct{ Tablestore services }
}

type caseOf struct {
	operation, name string
	run             func(t *table)
}

var cases []caseOf

func add(operation, name string, run func(t *table)) {
	cases = append(cases, caseOf{operation, name, run})
}

type line struct {
	Client    string `json:"client"`
	Operation string `json:"operation"`
	Case      string `json:"case"`
	Passed    bool   `json:"passed"`
	Detail    string `json:"detail"`
}

func main() {
	if place := os.Getenv("WORK"); place != "" {
		work(place)
		return
	}
	check(json.Unmarshal([]byte(os.Getenv("JUDGE")), &asked))
	client := connect("", "")
	for number, one := range cases {
		detail := tried(one, &table{client, fmt.Sprintf("t%d", number)})
		told, err := json.Marshal(line{asked.Client, one.operation, one.name, detail == "", detail})
		check(err)
		fmt.Println(string(told))
	}
}

// tried runs a case; what it panicked with, or nothing when it passed.
func tried(one caseOf, t *table) (detail string) {
	defer func() {
		if failure := recover(); failure != nil {
			detail = fmt.Sprintf("%v", failure)
			if _, isBug := failure.(interface{ RuntimeError() }); isBug {
				detail += " at " + strings.ReplaceAll(string(debug.Stack()), "\n", " ")
			}
			if len(detail) > 500 {
				detail = detail[:500]
			}
		}
	}()
	one.run(t)
	return ""
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("expected %#v, found %#v", expected, found))
	}
}
