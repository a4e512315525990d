package main

import (
	"errors"
	"testing"

	endpointd "github.com/endpointd/endpointd/guest-sdk/go"
	"github.com/endpointd/endpointd/guest-sdk/go/endpointdtest"
)

func TestWhatRunsOutIsOrdered(t *testing.T) {
	host := endpointdtest.New(t)
	host.Settings["reorder_below"] = "5"
	host.Context = map[string]any{"user": "Ada"}
	host.Answer = func(message endpointdtest.Message) (any, error) {
		return message.To.Topic + " " + message.Method + " " + message.Args, nil
	}
	put := func(quantity int64) *putResult {
		result, err := host.Call[*putResult]("put", map[string]any{"name": "nut", "quantity": quantity})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if first := put(5); first.Previous != nil || first.Order != nil || *first.By != "Ada" {
		t.Errorf("%+v", first)
	}
	again := put(3)
	if *again.Previous != 5 || *again.Order != `suppliers order {"name":"nut","quantity":2}` {
		t.Errorf("%+v", again)
	}
	counted, err := host.Call[total]("count", nil)
	if err != nil || counted != (total{Items: 1, Quantity: 3, Puts: 2}) {
		t.Error(counted, err)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	host := endpointdtest.New(t)
	_, err := host.Call[item]("get", map[string]any{"name": "bolt"})
	failure, isOne := errors.AsType[*endpointd.Failure](err)
	if !isOne || failure.Class != "ItemNotFound" || failure.Kwargs["name"] != "bolt" {
		t.Error(err)
	}
}
