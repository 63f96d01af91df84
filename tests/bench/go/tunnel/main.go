// The official Go client's tunnel worker into nothing.
//
// Started with an endpoint, an instance, a key's id and its secret. For each line on standard input, which is a tunnel's
// id and how many records it holds, it drains that tunnel and prints the records, the seconds and the CPU seconds of it.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func main() {
	version := "unknown"
	if build, isKnown := debug.ReadBuildInfo(); isKnown {
		for _, one := range build.Deps {
			if one.Path == "github.com/aliyun/aliyun-tablestore-go-sdk" {
				version = one.Version
			}
		}
	}
	client := tunnel.NewTunnelClient(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	fmt.Println(runtime.Version(), version)
	turns := bufio.NewScanner(os.Stdin)
	for turns.Scan() {
		var id string
		var wanted int64
		_, err := fmt.Sscan(turns.Text(), &id, &wanted)
		check(err)
		runtime.GC()
		began, cpu := time.Now(), used()
		drain(client, id, wanted)
		fmt.Println(wanted, time.Since(began).Seconds(), used()-cpu)
	}
}

func drain(client tunnel.TunnelClient, id string, wanted int64) {
	var seen int64
	done := make(chan bool, 1)
	daemon := tunnel.NewTunnelDaemon(client, id, &tunnel.TunnelWorkerConfig{
		LogWriteSyncer: zapcore.AddSync(io.Discard),
		ProcessorFactory: &tunnel.SimpleProcessFactory{
			Logger: zap.NewNop(),
			ProcessFunc: func(ctx *tunnel.ChannelContext, records []*tunnel.Record) error {
				if atomic.AddInt64(&seen, int64(len(records))) == wanted {
					done <- true
				}
				return nil
			},
		},
	})
	go func() { check(daemon.Run()) }()
	<-done
	daemon.Close()
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
