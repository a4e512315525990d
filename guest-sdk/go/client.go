package endpointd

import (
	"errors"
	"math"
	"time"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// Why a message was not sent, or a call has no result, to be told apart with [errors.Is]. The caller of a method that
// returns one sees what Python would raise: the other side's own exception, or one of oslo_messaging.exceptions.
var (
	// The operator did not grant it; the text has the line that would. Also where too many plugins have called one
	// another.
	ErrNotGranted = errors.New("not granted")
	// The arguments, the context or the target are not well formed; the text says which.
	ErrInvalid = errors.New("the message is not well formed")
	// There was no result in time; the other side may still have done it.
	ErrTimeout = errors.New("there was no reply in time")
	// No server listens there.
	ErrUnroutable = errors.New("no server listens there")
	// It could not be sent now: the broker cannot be reached, the host is stopping, or too many calls wait. The text
	// says which.
	ErrUnavailable = errors.New("it could not be sent now")
	// The other side answered with an exception; [errors.As] gives the [*Failure].
	ErrRemote = errors.New("the other side failed")
	// The result is not of the type that was asked for.
	ErrUnexpectedResult = errors.New("the result is not what was expected")
)

// A Target is whom to send to. What is not said takes the host's defaults. The operator grants it with
// `client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"]` under [grants].
//
// What is sent are the keyword arguments: a struct or a map that is a JSON object, or nil for none.
type Target struct {
	Topic string
	// The version that the method needs, such as "1.4". Empty is 1.0.
	Version string
	// A namespace of the topic: new("NAME"). Nil is the null one.
	Namespace *string
	// One server of the topic. Empty is any.
	Server string
	// Only the host's own exchange is allowed, which is also what empty stands for.
	Exchange string
	// The longest that it may take; never longer than what is left of the call being answered, which is also what 0
	// stands for.
	Timeout time.Duration
	// Another request context than that of the call being answered: a struct or a map that is a JSON object.
	Context any
}

// Call has one server of the target run a method, and gives its result.
func (t Target) Call[R any](method string, args any) (R, error) {
	var result R
	text, err := t.send(host.Call, method, args)
	if err != nil {
		return result, err
	}
	if err := rpcjson.Read([]byte(text), &result); err != nil {
		return result, clientError(ErrUnexpectedResult, ErrUnexpectedResult.Error()+": "+rpcjson.Problem(err))
	}
	return result, nil
}

// Cast has one server of the target run a method, without waiting for it.
func (t Target) Cast(method string, args any) error {
	_, err := t.send(host.Cast, method, args)
	return err
}

// Fanout has every server of the target's topic run a method, without waiting for them.
func (t Target) Fanout(method string, args any) error {
	_, err := t.send(host.Fanout, method, args)
	return err
}

func (t Target) send(kind host.Kind, method string, args any) (string, error) {
	message := host.Message{
		Exchange:  orNil(t.Exchange),
		Server:    orNil(t.Server),
		Namespace: t.Namespace,
		Version:   orNil(t.Version),
		Topic:     t.Topic,
		Method:    method,
		Args:      "{}",
	}
	if args != nil {
		text, err := rpcjson.Write(args)
		if err != nil {
			return "", clientError(ErrInvalid, "the arguments are no JSON: "+rpcjson.Problem(err))
		}
		message.Args = string(text)
	}
	if t.Context != nil {
		text, err := rpcjson.Write(t.Context)
		if err != nil {
			return "", clientError(ErrInvalid, "the context is no JSON: "+rpcjson.Problem(err))
		}
		message.Context = new(string(text))
	}
	if t.Timeout > 0 {
		// Less than a millisecond is not the same as no limit.
		milliseconds := max(t.Timeout.Milliseconds(), 1)
		message.TimeoutMs = new(uint32(min(milliseconds, math.MaxUint32)))
	}
	result, problem := host.Send(kind, message)
	if problem != nil {
		return "", sendError(problem)
	}
	return result, nil
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func sendError(problem *host.SendError) error {
	switch problem.Problem {
	case host.NotGranted:
		return clientError(ErrNotGranted, "not granted: "+problem.Text)
	case host.Invalid:
		return clientError(ErrInvalid, problem.Text)
	case host.Timeout:
		return osloError(ErrTimeout, "MessagingTimeout", ErrTimeout.Error())
	case host.Unroutable:
		return osloError(ErrUnroutable, "MessageUndeliverable", ErrUnroutable.Error())
	case host.Unavailable:
		return osloError(ErrUnavailable, "MessageDeliveryFailure", problem.Text)
	}
	return &hostError{ErrRemote, failureFrom(problem.Failure)}
}

func clientError(problem error, message string) error {
	return &hostError{problem, &Failure{Class: "ClientError", Module: "endpointd", Message: message}}
}

func osloError(problem error, class, message string) error {
	return &hostError{problem, &Failure{Class: class, Module: "oslo_messaging.exceptions", Message: message}}
}
