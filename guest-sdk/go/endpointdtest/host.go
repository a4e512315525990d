//go:build !wasip1

// Package endpointdtest is the host of a test: `go test` runs a plugin as it is, without any server.
//
//	func TestWhoeverHasANameIsGreeted(t *testing.T) {
//		host := endpointdtest.New(t)
//		host.Settings["greeting"] = "Hi"
//		reply, err := host.Call[string]("greet", map[string]any{"name": "Ada"})
//		if reply != "Hi, Ada" || err != nil {
//			t.Error(reply, err)
//		}
//	}
//
// A method may also be called by itself, with [endpointd.NewContext] and a struct.
package endpointdtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	endpointd "github.com/endpointd/endpointd/guest-sdk/go"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// A Host has nothing set, stored, logged or sent at first, and nobody to be reached. Buckets are empty, and all are
// granted: a test puts something into one by [endpointd.OpenBucket].
type Host struct {
	// The settings and secrets of the plugin, by name.
	Settings map[string]string
	// The request context of what Call asks for: what is a JSON object, or nil for an empty one.
	Context any
	// What Call asks for: the null namespace, and the version of the first endpoint that has the method, if these are
	// not given.
	Namespace *string
	Version   string
	// What the plugin learns of the call being answered. A time of 0 is one that is not known.
	ID        string
	IsCast    bool
	Remaining time.Duration
	Started   time.Time
	// Answers what the plugin calls: with what it returns, written as JSON, or with the exception that its error is. To
	// say why it was not sent, return one of the errors of the client, such as endpointd.ErrTimeout. If it is nil,
	// nobody listens.
	Answer func(Message) (any, error)
	// The lines logged so far.
	Lines []Line
	// The messages sent so far.
	Sent []Message

	world *host.World
}

// A Line is one of the log.
type Line struct {
	Level endpointd.Level
	Text  string
}

// A Kind is how a message was sent.
type Kind string

// To one server for its result, to one server, to every server.
const (
	Call   Kind = "call"
	Cast   Kind = "cast"
	Fanout Kind = "fanout"
)

// A Message is one that the plugin sent. Args and Context are JSON objects; Context is empty if it is that of the call
// being answered.
type Message struct {
	Kind Kind
	// Its own Context is left out.
	To            endpointd.Target
	Method        string
	Args, Context string
}

// New is the host from now until the end of the test. There is one at a time, so such tests cannot run in parallel.
func New(t testing.TB) *Host {
	t.Helper()
	world := host.NewWorld()
	made := &Host{Settings: world.Settings, world: world}
	world.Info = made.info
	world.Log = func(level uint32, text string) {
		made.Lines = append(made.Lines, Line{endpointd.Level(level), text})
	}
	world.Send = made.send
	before := host.Current
	host.Current = world
	t.Cleanup(func() { host.Current = before })
	return made
}

// BreakBucket makes every use of a bucket fail.
func (h *Host) BreakBucket(name string) {
	h.world.Broken[name] = "broken by the test"
}

// Call has the plugin answer a call as its caller sees it: arguments, a struct or a map that is a JSON object or nil
// for none, are checked, and the error is an [*endpointd.Failure].
func (h *Host) Call[R any](method string, args any) (R, error) {
	var result R
	request := host.Request{
		Namespace: h.Namespace,
		Version:   h.Version,
		Method:    method,
		Args:      object("arguments", args),
		Context:   object("context", h.Context),
	}
	if request.Version == "" {
		request.Version = h.versionOf(method)
	}
	reply, failed := host.Dispatch(request)
	if failed != nil {
		return result, failureFrom(failed)
	}
	if err := rpcjson.Read([]byte(reply), &result); err != nil {
		problem := rpcjson.Problem(err)
		return result, fmt.Errorf("endpointdtest: %s returned %s, which is no %T: %s", method, reply, result, problem)
	}
	return result, nil
}

func (h *Host) versionOf(method string) string {
	for _, target := range host.Targets() {
		sameNamespace := (target.Namespace == nil) == (h.Namespace == nil) &&
			(h.Namespace == nil || *target.Namespace == *h.Namespace)
		if sameNamespace && slices.Contains(target.Methods, method) {
			return target.Version
		}
	}
	return "1.0"
}

func (h *Host) info() host.CallInfo {
	info := host.CallInfo{ID: h.ID, IsCast: h.IsCast}
	if h.Remaining > 0 {
		info.RemainingMs = new(uint64(h.Remaining.Milliseconds()))
	}
	if !h.Started.IsZero() {
		info.StartedMs = uint64(h.Started.UnixMilli())
	}
	return info
}

func (h *Host) send(kind host.Kind, sent host.Message) (string, *host.SendError) {
	message := Message{
		Kind: [...]Kind{host.Call: Call, host.Cast: Cast, host.Fanout: Fanout}[kind],
		To: endpointd.Target{
			Topic:     sent.Topic,
			Version:   orEmpty(sent.Version),
			Namespace: sent.Namespace,
			Server:    orEmpty(sent.Server),
			Exchange:  orEmpty(sent.Exchange),
		},
		Method:  sent.Method,
		Args:    sent.Args,
		Context: orEmpty(sent.Context),
	}
	if sent.TimeoutMs != nil {
		message.To.Timeout = time.Duration(*sent.TimeoutMs) * time.Millisecond
	}
	h.Sent = append(h.Sent, message)
	if kind != host.Call {
		return "", nil
	}
	if h.Answer == nil {
		return "", &host.SendError{Problem: host.Unroutable}
	}
	result, err := h.Answer(message)
	if err != nil {
		return "", problemOf(err)
	}
	return text("answer", result), nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// problemOf is what an error of Answer comes to.
func problemOf(err error) *host.SendError {
	for problem, is := range map[host.SendProblem]error{
		host.NotGranted:  endpointd.ErrNotGranted,
		host.Invalid:     endpointd.ErrInvalid,
		host.Timeout:     endpointd.ErrTimeout,
		host.Unroutable:  endpointd.ErrUnroutable,
		host.Unavailable: endpointd.ErrUnavailable,
	} {
		if errors.Is(err, is) {
			// The client says itself that it is not granted.
			return &host.SendError{Problem: problem, Text: strings.TrimPrefix(err.Error(), "not granted: ")}
		}
	}
	failure, isOne := errors.AsType[*endpointd.Failure](err)
	if !isOne {
		failure = &endpointd.Failure{Class: "Exception", Message: err.Error()}
	}
	remote := &host.Failure{
		Class:     failure.Class,
		Module:    failure.Module,
		Message:   failure.Message,
		Traceback: failure.Traceback,
		Expected:  failure.Expected,
	}
	if remote.Module == "" {
		remote.Module = "builtins"
	}
	if failure.Kwargs != nil {
		remote.Kwargs = new(text("keyword arguments", failure.Kwargs))
	}
	return &host.SendError{Problem: host.Remote, Failure: remote}
}

func failureFrom(failed *host.Failure) *endpointd.Failure {
	failure := &endpointd.Failure{
		Class:     failed.Class,
		Module:    failed.Module,
		Message:   failed.Message,
		Traceback: failed.Traceback,
		Expected:  failed.Expected,
	}
	if failed.Kwargs != nil {
		if err := rpcjson.Read([]byte(*failed.Kwargs), &failure.Kwargs); err != nil {
			panic("endpointdtest: the keyword arguments of a failure: " + rpcjson.Problem(err))
		}
	}
	return failure
}

// object is what a caller sends as a JSON object.
func object(what string, value any) string {
	if value == nil {
		return "{}"
	}
	written := text(what, value)
	if written[0] != '{' {
		panic(fmt.Sprintf("endpointdtest: the %s must be a JSON object, not %s: give a struct or a map", what, written))
	}
	return written
}

func text(what string, value any) string {
	written, err := rpcjson.Write(value)
	if err != nil {
		panic(fmt.Sprintf("endpointdtest: the %s cannot be written as JSON: %s", what, rpcjson.Problem(err)))
	}
	return string(written)
}
