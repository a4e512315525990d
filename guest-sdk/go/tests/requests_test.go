package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"strings"
	"testing"

	endpointd "github.com/endpointd/endpointd/guest-sdk/go"
	"github.com/endpointd/endpointd/guest-sdk/go/endpointdtest"
)

type common struct {
	Region string `json:"region" default:"here"`
}

type everything struct {
	common
	Text    string            `json:"text"`
	Number  *float64          `json:"number"`
	Flags   []bool            `json:"flags,omitzero"`
	Limit   uint8             `json:"limit" default:"7"`
	Any     any               `json:"any,omitzero"`
	Labels  map[string]string `json:"labels,omitzero"`
	Plain   int               `json:",omitzero"`
	Ignored string            `json:"-"`
}

func init() {
	endpointd.Serve("1.2").
		Method("everything", func(_ *endpointd.Context, args everything) (everything, error) { return args, nil }).
		Method("nothing", func(*endpointd.Context, struct{}) (*int, error) { return nil, nil }).
		Method("names", func(*endpointd.Context, struct{}) ([]string, error) { return nil, nil }).
		Method("whatever", func(_ *endpointd.Context, args map[string]any) (any, error) { return args, nil }).
		Method("numbers", func(_ *endpointd.Context, args map[string]int64) (any, error) { return args, nil }).
		Method("nan", func(*endpointd.Context, struct{}) (float64, error) { return math.NaN(), nil }).
		Method("fail", func(_ *endpointd.Context, args struct {
			How string `json:"how"`
		}) (any, error) {
			return nil, ways[args.How]()
		}).
		Method("version", func(*endpointd.Context, struct{}) (string, error) { return "1.2", nil })
	endpointd.Serve("1.5").
		Method("version", func(*endpointd.Context, struct{}) (string, error) { return "1.5", nil })
	endpointd.ServeNamespace("other", "2.0").
		Method("version", func(*endpointd.Context, struct{}) (string, error) { return "other 2.0", nil })
}

var ways = map[string]func() error{
	"plain":   func() error { return errors.New("it is gone") },
	"typed":   func() error { return &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist} },
	"wrapped": func() error { return fmt.Errorf("first: %w", endpointd.Failf("KeyError", "no %q", "a")) },
	"whole": func() error {
		return &endpointd.Failure{
			Class: "Odd", Module: "odd.exceptions", Message: "no \xff", Expected: true,
			Kwargs:    map[string]any{"large": int64(math.MaxInt64), "whole": 2.0},
			Traceback: []string{"line 1"},
		}
	},
	"kwargs": func() error {
		return &endpointd.Failure{Class: "Odd", Kwargs: map[string]any{"bad": math.NaN()}}
	},
	"panic": func() error { panic("oh dear") },
	"nil":   func() error { var nothing *endpointd.Failure; return fmt.Errorf("%s", nothing.Message) },
}

func checkFailure(t *testing.T, err error, class, message string) *endpointd.Failure {
	t.Helper()
	failure, isOne := errors.AsType[*endpointd.Failure](err)
	if !isOne {
		t.Fatalf("%v is no failure", err)
	}
	if found := failure.Error(); found != class+": "+message {
		t.Error(found)
	}
	return failure
}

func TestArgumentsAreRead(t *testing.T) {
	host := endpointdtest.New(t)
	read, err := host.Call[everything]("everything", map[string]any{"text": "a", "any": int64(1) << 60, "Plain": 3})
	expected := everything{Text: "a", Limit: 7, Any: int64(1) << 60, Plain: 3}
	expected.Region = "here"
	if err != nil || !reflect.DeepEqual(read, expected) {
		t.Errorf("%+v, %v", read, err)
	}
	read, err = host.Call[everything]("everything", map[string]any{
		"text": "", "number": 2, "flags": []bool{true}, "limit": 255, "region": "there", "any": nil, "labels": map[string]any{"a": "b"},
	})
	if err != nil || *read.Number != 2 || !read.Flags[0] || read.Limit != 255 || read.Region != "there" || read.Labels["a"] != "b" {
		t.Errorf("%+v, %v", read, err)
	}
	whatever, err := host.Call[map[string]any]("whatever", map[string]any{"a": nil, "b": uint64(math.MaxUint64)})
	if err != nil || !reflect.DeepEqual(whatever, map[string]any{"a": nil, "b": uint64(math.MaxUint64)}) {
		t.Error(whatever, err)
	}
	if nothing, err := host.Call[any]("nothing", nil); nothing != nil || err != nil {
		t.Error(nothing, err)
	}
	if names, err := host.Call[any]("names", nil); !reflect.DeepEqual(names, []any{}) || err != nil {
		t.Error(names, err)
	}
}

func TestArgumentsThatDoNotFitAreTypeErrors(t *testing.T) {
	host := endpointdtest.New(t)
	for _, one := range []struct {
		method  string
		args    any
		message string
	}{
		{"everything", nil, "everything() missing a required argument: 'text'"},
		{"everything", map[string]any{"text": "", "size": 1}, "everything() got an unexpected keyword argument 'size'"},
		{"everything", map[string]any{"text": "", "Ignored": "a"}, "everything() got an unexpected keyword argument 'Ignored'"},
		{"everything", map[string]any{"Text": ""}, "everything() missing a required argument: 'text'"},
		{"everything", map[string]any{"text": nil}, "everything() argument 'text': text is needed, not null"},
		{"everything", map[string]any{"text": "", "flags": nil}, "everything() argument 'flags': a list is needed, not null"},
		{"everything", map[string]any{"text": "", "flags": []any{true, 1}}, "everything() argument 'flags': at /1: true or false is needed, not a number"},
		{"everything", map[string]any{"text": "", "limit": 256}, "everything() argument 'limit': an integer of 8 bits that is not negative is needed, not 256"},
		{"everything", map[string]any{"text": "", "region": 1}, "everything() argument 'region': text is needed, not a number"},
		{"nothing", map[string]any{"b": 1, "a": 1}, "nothing() got an unexpected keyword argument 'a'"},
		{"numbers", map[string]any{"a": 1.5}, "numbers() argument 'a': an integer of 64 bits is needed, not 1.5"},
	} {
		_, err := host.Call[any](one.method, one.args)
		checkFailure(t, err, "builtins.TypeError", one.message)
	}
}

func TestErrorsAreExceptions(t *testing.T) {
	host := endpointdtest.New(t)
	fail := func(how string) error {
		_, err := host.Call[any]("fail", map[string]string{"how": how})
		return err
	}
	checkFailure(t, fail("plain"), "go.Error", "it is gone")
	checkFailure(t, fail("typed"), "go.PathError", "open /x: file does not exist")
	checkFailure(t, fail("wrapped"), "builtins.KeyError", `no "a"`)
	whole := checkFailure(t, fail("whole"), "odd.exceptions.Odd", "no \uFFFD")
	kwargs := map[string]any{"large": int64(math.MaxInt64), "whole": 2.0}
	if !whole.Expected || !reflect.DeepEqual(whole.Kwargs, kwargs) || whole.Traceback[0] != "line 1" {
		t.Errorf("%+v", whole)
	}
	if failure := checkFailure(t, fail("kwargs"), "builtins.Odd", ""); failure.Kwargs != nil {
		t.Error(failure.Kwargs)
	}
	panicked := checkFailure(t, fail("panic"), "go.Panic", "oh dear")
	if lines := strings.Join(panicked.Traceback, "\n"); !strings.Contains(lines, "requests_test.go:") {
		t.Error(lines)
	}
	panicked = checkFailure(t, fail("nil"), "go.Panic", "runtime error: invalid memory address or nil pointer dereference")
	if panicked.Expected {
		t.Error("a panic is never expected")
	}
	_, err := host.Call[any]("nan", nil)
	checkFailure(t, err, "builtins.ValueError", "the result is no JSON: unsupported value: NaN")
}

func TestTheHighestVersionAnswers(t *testing.T) {
	host := endpointdtest.New(t)
	version := func() string {
		found, err := host.Call[string]("version", nil)
		if err != nil {
			return err.Error()
		}
		return found
	}
	for asked, answered := range map[string]string{"1.0": "1.5", "1.2": "1.5", "1": "1.5", "1.4.1": "1.5"} {
		host.Version = asked
		if found := version(); found != answered {
			t.Errorf("%s is answered by %s", asked, found)
		}
	}
	host.Namespace, host.Version = new("other"), ""
	if found := version(); found != "other 2.0" {
		t.Error(found)
	}
	host.Namespace = new("")
	_, err := host.Call[any]("version", nil)
	checkFailure(t, err, "oslo_messaging.rpc.dispatcher.NoSuchMethod", "Endpoint does not support RPC method version")
}

func TestMistakesOfThePluginShowWhenItIsLoaded(t *testing.T) {
	panics := func(expected string, register func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if found := fmt.Sprint(recover()); found != expected {
				t.Error(found)
			}
		}()
		register()
	}
	panics("endpointd: the arguments of a are of type int; they must be a struct, or a map with text as keys", func() {
		endpointd.ServeNamespace("wrong", "1.0").Method("a", func(*endpointd.Context, int) (any, error) { return nil, nil })
	})
	panics("endpointd: the default of n in the arguments of a: an integer of 64 bits is needed, not true", func() {
		type arguments struct {
			N int `json:"n" default:"true"`
		}
		endpointd.ServeNamespace("wrong", "1.0").Method("a", func(*endpointd.Context, arguments) (any, error) { return nil, nil })
	})
	panics("endpointd: the method a is there twice", func() {
		nothing := func(*endpointd.Context, struct{}) (any, error) { return nil, nil }
		endpointd.ServeNamespace("wrong", "1.0").Method("a", nothing).Method("a", nothing)
	})
}
