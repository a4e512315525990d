package main

import (
	"testing"

	"github.com/endpointd/endpointd/guest-sdk/go/endpointdtest"
)

func TestWhoeverHasANameIsGreeted(t *testing.T) {
	host := endpointdtest.New(t)
	greet := func(name string) (string, error) {
		return host.Call[string]("greet", map[string]any{"name": name})
	}
	if reply, err := greet("Ada"); reply != "Hello, Ada" || err != nil {
		t.Error(reply, err)
	}
	if _, err := greet(""); err == nil || err.Error() != "builtins.ValueError: a name is needed" {
		t.Error(err)
	}
}
