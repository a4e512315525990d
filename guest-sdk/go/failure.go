package endpointd

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// A Failure is the exception that a caller sees. A method returns one as its error, wrapped or not; of any other
// error the caller sees the text, and as its class the name of its type.
//
// A caller that runs oslo.messaging rebuilds an exception if it knows the module: Python's own are always known,
// others as far as the caller's allowed_remote_exmods goes. What it cannot rebuild it sees as RemoteError with the
// class in exc_type.
type Failure struct {
	// The exception's class, such as "ItemNotFound".
	Class string
	// The Python module that defines it. Empty is "builtins", the module of Python's own.
	Module string
	// The text that the caller reads.
	Message string
	// The keyword arguments that the caller rebuilds the exception with.
	Kwargs map[string]any
	// Lines for whoever looks for the cause.
	Traceback []string
	// Part of the interface, and so not worth a line in the host's log.
	Expected bool
}

// Failf makes a failure that is one of Python's own exceptions, such as "ValueError". The text is formatted as by
// [fmt.Sprintf].
func Failf(class, format string, values ...any) *Failure {
	return &Failure{Class: class, Message: fmt.Sprintf(format, values...)}
}

// Error is module, class and text.
func (f *Failure) Error() string {
	return cmp.Or(f.Module, "builtins") + "." + f.Class + ": " + f.Message
}

// A hostError is why the host did not do what it was asked for: what it is to Go, and what it is to the caller of
// a method that returns it.
type hostError struct {
	problem error
	failure *Failure
}

func (e *hostError) Error() string {
	if e.problem == ErrRemote {
		return e.failure.Error()
	}
	return e.failure.Message
}

func (e *hostError) Unwrap() []error {
	return []error{e.problem, e.failure}
}

// failureOf is what the caller sees of an error.
func failureOf(err error) *Failure {
	if failure, isOne := errors.AsType[*Failure](err); isOne && failure != nil {
		return failure
	}
	return &Failure{Class: className(err), Module: "go", Message: err.Error()}
}

// className is the name of an error's type, where others may know it.
func className(err error) string {
	of := reflect.TypeOf(err)
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	name, _, _ := strings.Cut(of.Name(), "[")
	if name == "" || !unicode.IsUpper(rune(name[0])) {
		return "Error"
	}
	return name
}

// panicked is what the caller sees of a panic. To be called while it is recovered.
func panicked(value any) *Failure {
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	for index, line := range lines {
		// What comes before is how it was recovered.
		if strings.HasPrefix(line, "panic(") && index+2 < len(lines) {
			lines = lines[index+2:]
			break
		}
	}
	return &Failure{Class: "Panic", Module: "go", Message: fmt.Sprint(value), Traceback: lines}
}

// toHost is the contract's form.
func (f *Failure) toHost() *host.Failure {
	contract := &host.Failure{
		Class:    readable(f.Class),
		Module:   readable(cmp.Or(f.Module, "builtins")),
		Message:  readable(f.Message),
		Expected: f.Expected,
	}
	for _, line := range f.Traceback {
		contract.Traceback = append(contract.Traceback, readable(line))
	}
	if len(f.Kwargs) > 0 {
		// What cannot be written is left out: the failure itself matters more.
		if kwargs, err := rpcjson.Write(f.Kwargs); err == nil {
			contract.Kwargs = new(string(kwargs))
		}
	}
	return contract
}

// readable is text that the host takes: what is not UTF-8 would end the instance.
func readable(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

// failureFrom is the exception of another service.
func failureFrom(contract *host.Failure) *Failure {
	failure := &Failure{
		Class:     contract.Class,
		Module:    contract.Module,
		Message:   contract.Message,
		Traceback: contract.Traceback,
		Expected:  contract.Expected,
	}
	if contract.Kwargs != nil {
		// The host has checked that it is an object.
		_ = rpcjson.Read([]byte(*contract.Kwargs), &failure.Kwargs)
	}
	return failure
}
