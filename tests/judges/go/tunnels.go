package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func init() { tunnelCases() }

// patience is how long a worker may take for what a case waits for.
const patience = 90 * time.Second

func tunnels() tunnel.TunnelClient {
	access := asked.Services.Tablestore
	return tunnel.NewTunnelClient(access.Endpoint, asked.Instance, access.AccessKeyId, access.AccessKeySecret)
}

func (t *table) tunnel(kind tunnel.TunnelType, config *tunnel.StreamTunnelConfig) string {
	told, err := tunnels().CreateTunnel(&tunnel.CreateTunnelRequest{
		TableName: t.name, TunnelName: "n", Type: kind, StreamTunnelConfig: config,
	})
	check(err)
	return told.TunnelId
}

func (t *table) described() *tunnel.DescribeTunnelResponse {
	told, err := tunnels().DescribeTunnel(&tunnel.DescribeTunnelRequest{TableName: t.name, TunnelName: "n"})
	check(err)
	return told
}

func (t *table) statuses() []string {
	found := []string{}
	for _, channel := range t.described().Channels {
		found = append(found, channel.ChannelStatus)
	}
	return found
}

func codeOf(err error) string {
	if told, isTunnel := err.(*tunnel.TunnelError); isTunnel {
		return told.Code
	}
	return fmt.Sprint(err)
}

// worker is an official worker; what it processed is kept, in order by channel.
type worker struct {
	lock     sync.Mutex
	channels map[string][]any
	daemon   *tunnel.TunnelWorkerDaemon
	ended    chan error
}

// started is a worker on a tunnel. told hears of each batch before it counts as processed.
func started(client tunnel.TunnelClient, id string, told func(channel string, keys []any)) *worker {
	w := &worker{channels: map[string][]any{}, ended: make(chan error, 1)}
	quiet := zapcore.AddSync(io.Discard)
	config := &tunnel.TunnelWorkerConfig{
		HeartbeatInterval: 100 * time.Millisecond,
		HeartbeatTimeout:  30 * time.Second, // a busy machine may be silent for some of them
		LogWriteSyncer:    quiet,
		BackoffConfig:     &tunnel.ChannelBackoffConfig{MaxDelay: 100 * time.Millisecond},
		ProcessorFactory: &tunnel.SimpleProcessFactory{
			CpInterval: 50 * time.Millisecond,
			Logger:     zap.NewNop(),
			ProcessFunc: func(ctx *tunnel.ChannelContext, records []*tunnel.Record) error {
				keys := []any{}
				for _, record := range records {
					keys = append(keys, record.PrimaryKey.PrimaryKeys[0].Value)
				}
				told(ctx.ChannelId, keys)
				w.lock.Lock()
				defer w.lock.Unlock()
				w.channels[ctx.ChannelId] = append(w.channels[ctx.ChannelId], keys...)
				return nil
			},
		},
	}
	w.daemon = tunnel.NewTunnelDaemon(client, id, config)
	go func() { w.ended <- w.daemon.Run() }()
	return w
}

// keys are those that were processed, sorted.
func (w *worker) keys() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	found := []string{}
	for _, keys := range w.channels {
		for _, key := range keys {
			found = append(found, fmt.Sprint(key))
		}
	}
	sort.Strings(found)
	return found
}

// until waits for a claim to be true.
func until(what string, claim func() bool) {
	for end := time.Now().Add(patience); !claim(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			panic("waited in vain: " + what)
		}
	}
}

func nobody(string, []any) {}

func tunnelCases() {
	add("tunnel/create", "a tunnel is made, listed, described and deleted", func(t *table) {
		t.streamed()
		id := t.tunnel(tunnel.TunnelTypeBaseStream, nil)
		listed, err := tunnels().ListTunnel(&tunnel.ListTunnelRequest{TableName: t.name})
		check(err)
		equal([]any{len(listed.Tunnels), listed.Tunnels[0].TunnelId, listed.Tunnels[0].TunnelName}, []any{1, id, "n"})
		told := t.described().Tunnel
		equal([]any{told.TunnelType, told.TableName, told.InstanceName, told.Expired}, []any{"BaseAndStream", t.name, asked.Instance, false})
		equal(time.Since(told.CreateTime) < time.Hour, true)
		_, err = tunnels().DeleteTunnel(&tunnel.DeleteTunnelRequest{TableName: t.name, TunnelName: "n"})
		check(err)
		listed, err = tunnels().ListTunnel(&tunnel.ListTunnelRequest{TableName: t.name})
		check(err)
		equal(len(listed.Tunnels), 0)
	})
	add("tunnel/create", "a name is taken once per table", func(t *table) {
		t.streamed()
		t.tunnel(tunnel.TunnelTypeStream, nil)
		_, err := tunnels().CreateTunnel(&tunnel.CreateTunnelRequest{TableName: t.name, TunnelName: "n", Type: tunnel.TunnelTypeBaseData})
		equal(codeOf(err), tunnel.ErrCodeTunnelExist)
	})
	add("tunnel/create", "a table without a stream gets the one that the tunnel needs", func(t *table) {
		t.make(strings_(), 1)
		t.tunnel(tunnel.TunnelTypeStream, nil)
		told, err := t.describe()
		check(err)
		equal(told.StreamDetails.EnableStream, true)
	})
	add("tunnel/describe", "stages and channels are described", func(t *table) {
		t.streamed()
		t.tunnel(tunnel.TunnelTypeBaseStream, nil)
		stages := []string{}
		until("ProcessBaseData", func() bool {
			stages = append(stages, t.described().Tunnel.Stage)
			return stages[len(stages)-1] == "ProcessBaseData"
		})
		equal(stages[0], "InitBaseDataAndStreamShard")
		kinds := []string{}
		for _, channel := range t.described().Channels {
			kinds = append(kinds, channel.ChannelType+" "+channel.ChannelStatus)
		}
		equal(kinds, []string{"BaseData WAIT", "Stream WAIT"})
	})
	add("tunnel/readrecords", "the official worker reads the rows, then what is written meanwhile", func(t *table) {
		t.streamed()
		t.put(keyOf("a"), pair{"n", int64(1)})
		t.put(keyOf("b"))
		id := t.tunnel(tunnel.TunnelTypeBaseStream, nil)
		t.put(keyOf("c"))
		w := started(tunnels(), id, nobody)
		defer w.daemon.Close()
		until("base data and stream", func() bool { return len(w.keys()) == 4 })
		check(t.delete(keyOf("a"), ignore))
		until("a deletion", func() bool { return len(w.keys()) == 5 })
		equal(w.keys(), []string{"a", "a", "b", "c", "c"})
		equal(t.statuses(), []string{"TERMINATED", "OPEN"})
		until("a checkpoint", func() bool { return t.described().TunnelRPO > 0 })
	})
	add("tunnel/readrecords", "children of a split are read after their parent", func(t *table) {
		t.streamed()
		id := t.tunnel(tunnel.TunnelTypeStream, &tunnel.StreamTunnelConfig{Flag: protocol.StartOffsetFlag_EARLIEST})
		var lock sync.Mutex
		order := []string{}
		w := started(tunnels(), id, func(_ string, keys []any) {
			lock.Lock()
			defer lock.Unlock()
			order = append(order, fmt.Sprint(keys...))
		})
		defer w.daemon.Close()
		t.put(keyOf("a"))
		until("the parent", func() bool { return len(w.keys()) == 1 })
		t.put(keyOf("b"))
		t.split("m")
		t.put(keyOf("c"))
		t.put(keyOf("z"))
		until("the children", func() bool { return len(w.keys()) == 4 })
		equal(order[:2], []string{"a", "b"})
		until("three channels", func() bool { return len(t.statuses()) == 3 })
	})
	add("tunnel/heartbeat", "two official workers share the channels", func(t *table) {
		t.streamed()
		for _, key := range []string{"d", "m", "t"} {
			t.split(key)
		}
		id := t.tunnel(tunnel.TunnelTypeStream, nil)
		one := started(tunnels(), id, nobody)
		defer one.daemon.Close()
		until("one owner", func() bool { return owners(t) == "4" })
		two := started(tunnels(), id, nobody)
		defer two.daemon.Close()
		until("two owners", func() bool { return owners(t) == "2 2" })
		for _, key := range []string{"a", "e", "n", "u"} {
			t.put(keyOf(key))
		}
		until("all records", func() bool { return len(one.keys())+len(two.keys()) == 4 })
		equal([]int{len(one.keys()), len(two.keys())}, []int{2, 2})
		two.daemon.Close()
		until("one owner again", func() bool { return owners(t) == "4" })
	})
	add("tunnel/schedule", "a channel is suspended and opened again", func(t *table) {
		t.streamed()
		id := t.tunnel(tunnel.TunnelTypeStream, nil)
		w := started(tunnels(), id, nobody)
		defer w.daemon.Close()
		until("an owner", func() bool { return owners(t) == "1" })
		channel := t.described().Channels[0].ChannelId
		scheduled(id, tunnel.SuspendChannel(channel))
		until("a closed channel", func() bool { return t.statuses()[0] == "CLOSE" })
		scheduled(id, tunnel.ResumeChannel(channel))
		until("an open channel", func() bool { return t.statuses()[0] == "OPEN" })
		t.put(keyOf("a"))
		until("a record", func() bool { return len(w.keys()) == 1 })
	})
	add("tunnel/getrpo", "the reach of each channel is told", func(t *table) {
		t.streamed()
		id := t.tunnel(tunnel.TunnelTypeStream, nil)
		w := started(tunnels(), id, nobody)
		defer w.daemon.Close()
		t.put(keyOf("a"))
		until("a count", func() bool {
			told, err := tunnels().GetRpo(&tunnel.GetRpoRequest{TunnelId: id})
			check(err)
			whole, isTold := told.TunnelRpoInfos["Stream"]
			return isTold && whole.TotalCount == 1 && whole.RpoTime > 0 && len(told.RpoInfos) == 1
		})
	})
	add("tunnel/connect", "a tunnel that is not there ends the official daemon", func(t *table) {
		w := started(tunnels(), "none", nobody)
		select {
		case err := <-w.ended:
			equal(codeOf(err), tunnel.ErrCodeParamInvalid)
		case <-time.After(patience):
			panic("the daemon goes on")
		}
	})
}

func scheduled(id string, channel *tunnel.ScheduleChannel) {
	_, err := tunnels().Schedule(&tunnel.ScheduleRequest{TunnelId: id, Channels: []*tunnel.ScheduleChannel{channel}})
	check(err)
}

// owners tells how many open channels each client holds, the fewest first.
func owners(t *table) string {
	counts := map[string]int{}
	for _, channel := range t.described().Channels {
		if channel.ChannelStatus == "OPEN" {
			counts[channel.ClientId]++
		}
	}
	found := []int{}
	for _, count := range counts {
		found = append(found, count)
	}
	sort.Ints(found)
	told := fmt.Sprint(found)
	return told[1 : len(told)-1]
}

// work runs a worker on the tunnel that WORK names until standard input ends, and prints a line for each batch.
func work(wanted string) {
	var place struct {
		Endpoint, Instance, Tunnel string
		AccessKeyId                string `json:"access_key_id"`
		AccessKeySecret            string `json:"access_key_secret"`
	}
	check(json.Unmarshal([]byte(wanted), &place))
	var lock sync.Mutex
	client := tunnel.NewTunnelClient(place.Endpoint, place.Instance, place.AccessKeyId, place.AccessKeySecret)
	w := started(client, place.Tunnel, func(channel string, keys []any) {
		line, err := json.Marshal(map[string]any{"channel": channel, "keys": keys})
		check(err)
		lock.Lock()
		defer lock.Unlock()
		_, err = fmt.Println(string(line))
		check(err)
	})
	_, err := io.Copy(io.Discard, os.Stdin)
	check(err)
	w.daemon.Close()
	time.Sleep(500 * time.Millisecond) // its checkpoints and its leave are made in the background
}
