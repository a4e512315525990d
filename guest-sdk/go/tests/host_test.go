package tests

import (
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	endpointd "github.com/endpointd/endpointd/guest-sdk/go"
	"github.com/endpointd/endpointd/guest-sdk/go/endpointdtest"
)

func TestBucketsKeepWhatIsSet(t *testing.T) {
	endpointdtest.New(t)
	bucket, err := endpointd.OpenBucket("stock")
	if err != nil {
		t.Fatal(err)
	}
	value, err := bucket.Get("a")
	if value != nil || err != nil {
		t.Error(value, err)
	}
	if err := bucket.Set("a", nil); err != nil {
		t.Error(err)
	}
	value, err = bucket.Get("a")
	if value == nil || len(value) > 0 || err != nil {
		t.Error("an empty value is not the same as none", value, err)
	}
	if err := bucket.SetJSON("b", []any{1, 2.0, "é"}); err != nil {
		t.Error(err)
	}
	if value, err := bucket.Get("b"); string(value) != `[1,2.0,"é"]` || err != nil {
		t.Error(string(value), err)
	}
	if keys, err := bucket.Keys(); !reflect.DeepEqual(keys, []string{"a", "b"}) || err != nil {
		t.Error(keys, err)
	}
	if err := bucket.Delete("a"); err != nil {
		t.Error(err)
	}
	if exists, err := bucket.Exists("a"); exists || err != nil {
		t.Error(exists, err)
	}
	if exists, err := bucket.Exists("b"); !exists || err != nil {
		t.Error(exists, err)
	}
	if sum, err := bucket.Increment("n", 5); sum != 5 || err != nil {
		t.Error(sum, err)
	}
	if sum, err := bucket.Increment("n", -7); sum != -2 || err != nil {
		t.Error(sum, err)
	}
	if n, err := bucket.GetJSON[int]("n"); *n != -2 || err != nil {
		t.Error(n, err)
	}
	if none, err := bucket.GetJSON[int]("none"); none != nil || err != nil {
		t.Error(none, err)
	}
	_, err = bucket.GetJSON[string]("b")
	if !errors.Is(err, endpointd.ErrBucketValue) {
		t.Error(err)
	}
	checkFailure(t, err, "endpointd.BucketError", "a value of the bucket is not as expected: text is needed, not a list")
	other, _ := endpointd.OpenBucket("other")
	if keys, err := other.Keys(); len(keys) > 0 || err != nil {
		t.Error(keys, err)
	}
}

func TestAnUpdateSeesWhatOthersWroteMeanwhile(t *testing.T) {
	host := endpointdtest.New(t)
	bucket, _ := endpointd.OpenBucket("stock")
	var seen []int
	before, err := bucket.UpdateJSON("n", func(before *int) (int, error) {
		if before == nil {
			seen = append(seen, -1)
			return 1, bucket.SetJSON("n", 10)
		}
		seen = append(seen, *before)
		return *before + 1, nil
	})
	if err != nil || *before != 10 || !reflect.DeepEqual(seen, []int{-1, 10}) {
		t.Error(before, seen, err)
	}
	if n, _ := bucket.GetJSON[int]("n"); *n != 11 {
		t.Error(*n)
	}
	enough := errors.New("enough")
	_, err = bucket.UpdateJSON("n", func(*int) (int, error) { return 0, enough })
	if n, _ := bucket.GetJSON[int]("n"); err != enough || *n != 11 {
		t.Error(*n, err)
	}
	host.BreakBucket("stock")
	_, err = bucket.Get("n")
	if !errors.Is(err, endpointd.ErrBucketFailed) {
		t.Error(err)
	}
	checkFailure(t, err, "endpointd.BucketError", "the bucket failed: broken by the test")
	if _, err = bucket.UpdateJSON("n", func(*int) (int, error) { return 0, nil }); !errors.Is(err, endpointd.ErrBucketFailed) {
		t.Error(err)
	}
}

func TestOthersAnswerOrFail(t *testing.T) {
	host := endpointdtest.New(t)
	suppliers := endpointd.Target{Topic: "suppliers", Version: "1.4", Namespace: new("a"), Timeout: time.Microsecond}
	order := func() (int64, error) { return suppliers.Call[int64]("order", map[string]any{"n": 2.0}) }
	for _, one := range []struct {
		answer         any
		err, is        error
		class, message string
	}{
		{nil, endpointd.ErrTimeout, endpointd.ErrTimeout, "oslo_messaging.exceptions.MessagingTimeout", "there was no reply in time"},
		{nil, endpointd.ErrUnroutable, endpointd.ErrUnroutable, "oslo_messaging.exceptions.MessageUndeliverable", "no server listens there"},
		{nil, endpointd.ErrUnavailable, endpointd.ErrUnavailable, "oslo_messaging.exceptions.MessageDeliveryFailure", "it could not be sent now"},
		{nil, endpointd.ErrInvalid, endpointd.ErrInvalid, "endpointd.ClientError", "the message is not well formed"},
		{nil, endpointd.ErrNotGranted, endpointd.ErrNotGranted, "endpointd.ClientError", "not granted: not granted"},
		{nil, errors.New("no"), endpointd.ErrRemote, "builtins.Exception", "no"},
		{nil, &endpointd.Failure{Class: "Odd", Module: "odd", Message: "no"}, endpointd.ErrRemote, "odd.Odd", "no"},
		{"many", nil, endpointd.ErrUnexpectedResult, "endpointd.ClientError", "the result is not what was expected: an integer of 64 bits is needed, not text"},
	} {
		host.Answer = func(endpointdtest.Message) (any, error) { return one.answer, one.err }
		_, err := order()
		if !errors.Is(err, one.is) {
			t.Errorf("%v is not %v", err, one.is)
		}
		checkFailure(t, err, one.class, one.message)
	}
	host.Sent = nil
	host.Answer = func(message endpointdtest.Message) (any, error) { return len(message.Args), nil }
	if result, err := order(); result != int64(len(`{"n":2.0}`)) || err != nil {
		t.Error(result, err)
	}
	to := suppliers
	to.Timeout = time.Millisecond
	if sent := (endpointdtest.Message{Kind: endpointdtest.Call, To: to, Method: "order", Args: `{"n":2.0}`}); !reflect.DeepEqual(host.Sent[0], sent) {
		t.Errorf("%+v", host.Sent)
	}
	host.Answer, host.Sent = nil, nil
	if _, err := order(); !errors.Is(err, endpointd.ErrUnroutable) {
		t.Error(err)
	}
	other := endpointd.Target{Topic: "t", Server: "s", Exchange: "e", Context: map[string]any{"user": "Ada"}}
	if err := errors.Join(other.Cast("a", nil), other.Fanout("b", struct{}{})); err != nil {
		t.Error(err)
	}
	cast := host.Sent[1]
	if cast.Kind != endpointdtest.Cast || cast.Args != "{}" || cast.Context != `{"user":"Ada"}` || cast.To.Server != "s" || host.Sent[2].Kind != endpointdtest.Fanout {
		t.Errorf("%+v", host.Sent)
	}
	err := other.Cast("a", map[string]any{"f": func() {}})
	checkFailure(t, err, "endpointd.ClientError", "the arguments are no JSON: at /f: a func() has no form in JSON")
}

func TestSettings(t *testing.T) {
	host := endpointdtest.New(t)
	host.Settings["limit"] = "7"
	if limit, err := endpointd.ParseSetting("limit", 1, strconv.Atoi); limit != 7 || err != nil {
		t.Error(limit, err)
	}
	if limit, err := endpointd.ParseSetting("other", 1, strconv.Atoi); limit != 1 || err != nil {
		t.Error(limit, err)
	}
	host.Settings["limit"] = "many"
	_, err := endpointd.ParseSetting("limit", 1, strconv.Atoi)
	checkFailure(t, err, "builtins.ValueError", "setting `limit` of the plugin is wrong: strconv.Atoi: parsing \"many\": invalid syntax")
	if setting, isThere := endpointd.Setting("limit"); setting != "many" || !isThere {
		t.Error(setting, isThere)
	}
	if setting, isThere := endpointd.Setting("other"); setting != "" || isThere {
		t.Error(setting, isThere)
	}
	if all := endpointd.Settings(); !reflect.DeepEqual(all, map[string]string{"limit": "many"}) {
		t.Error(all)
	}
}

func TestContextAndCall(t *testing.T) {
	host := endpointdtest.New(t)
	ctx := endpointd.NewContext(`{"user":"Ada","is_admin":true,"large":9007199254740993,"roles":["a"]}`)
	user, isText := ctx.Text("user")
	if user != "Ada" || !isText || !ctx.IsAdmin() || ctx.Get("large") != int64(9007199254740993) || ctx.Get("none") != nil {
		t.Error(ctx.JSON())
	}
	if _, isText := ctx.Text("large"); isText {
		t.Error("a number is no text")
	}
	read, err := ctx.Read[struct {
		Roles []string `json:"roles"`
	}]()
	if err != nil || read.Roles[0] != "a" {
		t.Error(read, err)
	}
	_, err = ctx.Read[struct {
		Roles string `json:"roles"`
	}]()
	checkFailure(t, err, "builtins.ValueError", "request context: at /roles: text is needed, not a list")
	empty := new(endpointd.Context)
	if empty.JSON() != "{}" || empty.Get("user") != nil || empty.IsAdmin() {
		t.Error(empty.JSON())
	}
	if _, isKnown := ctx.Remaining(); isKnown || ctx.IsCast() || ctx.ID() != "" {
		t.Error("nothing was said of the call")
	}
	host.ID, host.IsCast, host.Remaining, host.Started = "a1", true, 2500*time.Millisecond, time.UnixMilli(5)
	left, isKnown := ctx.Remaining()
	if left != 2500*time.Millisecond || !isKnown || !ctx.IsCast() || ctx.ID() != "a1" || !ctx.HostStarted().Equal(time.UnixMilli(5)) {
		t.Error(left, ctx.ID())
	}
}

func TestTheLog(t *testing.T) {
	host := endpointdtest.New(t)
	endpointd.Trace.Logf("%d%%", 5)
	endpointd.Critical.Logf("not UTF-8: \xff")
	expected := []endpointdtest.Line{{Level: endpointd.Trace, Text: "5%"}, {Level: endpointd.Critical, Text: "not UTF-8: \uFFFD"}}
	if !reflect.DeepEqual(host.Lines, expected) {
		t.Error(host.Lines)
	}
}
