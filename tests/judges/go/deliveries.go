package main

import (
	"time"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

func init() { deliveryCases() }

const (
	deliverer = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
	hangzhou  = "oss-cn-hangzhou.aliyuncs.com"
)

var sampled = []*ots.TaskSchema{
	{ColumnName: "pk", OssColumnName: "key", Type: ots.ParquetUtf8},
	{ColumnName: "n", OssColumnName: "n", Type: ots.ParquetInt64, Encode: ots.EncodingDeltaBinaryPacked},
}

// delivered asks for a task; change may make it another one.
func (t *table) delivered(name string, kind ots.TaskType, change func(*ots.OSSTaskConfig)) error {
	config := &ots.OSSTaskConfig{
		OssPrefix: t.name + "/year=$yyyy/month=$MM", OssBucket: "backup", OssEndpoint: hangzhou, OssRoleName: deliverer, Schema: sampled,
	}
	if change != nil {
		change(config)
	}
	_, err := t.client.CreateDeliveryTask(&ots.CreateDeliveryTaskRequest{
		TableName: t.name, TaskName: name, TaskType: kind, TaskConfig: config,
	})
	return err
}

func (t *table) delivery(name string) *ots.DescribeDeliveryTaskResponse {
	told, err := t.client.DescribeDeliveryTask(&ots.DescribeDeliveryTaskRequest{TableName: t.name, TaskName: name})
	check(err)
	return told
}

func (t *table) deliveries() []*ots.DeliveryTaskInfo {
	told, err := t.client.ListDeliveryTask(&ots.ListDeliveryTaskRequest{TableName: t.name})
	check(err)
	return told.Tasks
}

func deliveryCases() {
	existing := refusal{409, "OTSObjectAlreadyExist", ""}
	missing := refusal{404, "OTSObjectNotExist", ""}
	add("CreateDeliveryTask", "a task is made, listed and deleted", func(t *table) {
		t.make(strings_(), 1)
		check(t.delivered("task", ots.BaseIncTask, nil))
		equal(t.deliveries(), []*ots.DeliveryTaskInfo{{TableName: t.name, TaskName: "task", TaskType: ots.BaseIncTask}})
		_, err := t.client.DeleteDeliveryTask(&ots.DeleteDeliveryTaskRequest{TableName: t.name, TaskName: "task"})
		check(err)
		equal(len(t.deliveries()), 0)
	})
	add("CreateDeliveryTask", "a name is taken once per table", func(t *table) {
		t.make(strings_(), 1)
		check(t.delivered("task", ots.IncTask, nil))
		refused(t.delivered("task", ots.IncTask, nil), existing)
	})
	add("CreateDeliveryTask", "a name out of form is refused", func(t *table) {
		t.make(strings_(), 1)
		refused(t.delivered("Task", ots.IncTask, nil), refusal{400, "OTSParameterInvalid", ""})
	})
	add("DescribeDeliveryTask", "a task is told as it was asked for", func(t *table) {
		t.make(strings_(), 1)
		event := &ots.EventColumn{ColumnName: "n", TimeFormat: ots.EventColumnUnix}
		check(t.delivered("task", ots.IncTask, func(to *ots.OSSTaskConfig) { to.EventTimeColumn = event }))
		told := t.delivery("task")
		equal(told.TaskType, ots.IncTask)
		equal(told.TaskConfig, &ots.OSSTaskConfig{
			OssPrefix: t.name + "/year=$yyyy/month=$MM", OssBucket: "backup", OssEndpoint: hangzhou, OssRoleName: deliverer,
			EventTimeColumn: event, Schema: sampled,
		})
	})
	add("DescribeDeliveryTask", "a task delivers the rows and then follows the changes", func(t *table) {
		t.make(strings_(), 1)
		t.put(keyOf("a"), pair{"n", int64(1)})
		check(t.delivered("task", ots.BaseIncTask, nil))
		until("the task follows the changes", func() bool {
			return t.delivery("task").TaskSyncStat.TaskSyncPhase == ots.TaskIncStat
		})
		until("the task tells up to when it has delivered", func() bool {
			reached := t.delivery("task").TaskSyncStat.CurrentSyncTimestamp
			return reached > 0 && time.Since(time.Unix(0, reached)) < time.Hour
		})
	})
	add("DescribeDeliveryTask", "a task whose bucket is not there says so", func(t *table) {
		t.make(strings_(), 1)
		check(t.delivered("task", ots.BaseTask, func(to *ots.OSSTaskConfig) { to.OssBucket = "nowhere-to-be-found" }))
		until("the task stops", func() bool { return t.delivery("task").TaskSyncStat.ErrorCode == ots.ErrorTypeInvalidOssBucket })
		equal(t.delivery("task").TaskSyncStat.Detail != "", true)
	})
	add("DescribeDeliveryTask", "a role that may not write is told", func(t *table) {
		t.make(strings_(), 1)
		check(t.delivered("task", ots.BaseTask, func(to *ots.OSSTaskConfig) { to.OssRoleName = "acs:ram::1234567890123456:role/nobody" }))
		until("the task stops", func() bool { return t.delivery("task").TaskSyncStat.ErrorCode == ots.ErrorTypeUnauthorized })
	})
	add("DeleteDeliveryTask", "a task that is not there is refused", func(t *table) {
		t.make(strings_(), 1)
		_, err := t.client.DeleteDeliveryTask(&ots.DeleteDeliveryTaskRequest{TableName: t.name, TaskName: "none"})
		refused(err, missing)
		_, err = t.client.DescribeDeliveryTask(&ots.DescribeDeliveryTaskRequest{TableName: t.name, TaskName: "none"})
		refused(err, missing)
	})
}
