// Package endpointd is for plugins of endpointd in Go: functions that answer RPC calls.
//
//	type greetArguments struct {
//		Name string `json:"name"`
//	}
//
//	func init() {
//		endpointd.Serve("1.0").Method("greet", greet)
//	}
//
//	// Callers use `greet(name="Ada")`.
//	func greet(ctx *endpointd.Context, args greetArguments) (string, error) {
//		if args.Name == "" {
//			return "", endpointd.Failf("ValueError", "a name is needed")
//		}
//		return "Hello, " + args.Name, nil
//	}
//
//	func main() {} // never called: the host calls the methods
//
// It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o greeter.wasm .
//
// and natively it builds as well: there the package endpointdtest is the host, for unit tests.
//
// Goroutines run while a method does: what one has not done by then waits for the next call, if that comes. A panic in
// a method is a failure for its caller, and one in another goroutine ends the instance. What is printed is in the
// host's log.
package endpointd

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// An Endpoint is what the plugin serves in one namespace at one version, and with it at every lower minor.
type Endpoint struct {
	namespace    *string
	version      string
	major, minor int
	names        []string
	methods      map[string]func(*Context, string) ([]byte, error)
}

var endpoints []*Endpoint

// Serve begins an endpoint in the null namespace at a version, such as "1.0". To be called in init, as often as one
// likes: of those that fit a request, the highest version that has the method answers.
func Serve(version string) *Endpoint {
	return serve(nil, version)
}

// ServeNamespace is as [Serve], in a namespace.
func ServeNamespace(namespace, version string) *Endpoint {
	return serve(&namespace, version)
}

func serve(namespace *string, version string) *Endpoint {
	endpoint := &Endpoint{
		namespace: namespace,
		version:   version,
		methods:   map[string]func(*Context, string) ([]byte, error){},
	}
	endpoint.major, endpoint.minor = numbersOf(version)
	endpoints = append(endpoints, endpoint)
	return endpoint
}

// Method has callers use a function under a name, and gives the endpoint again.
//
// The fields of A are the keyword arguments: a struct, with names as encoding/json reads them, by case, and with those
// of embedded structs. One may be missing if it is a pointer, which is then nil; if its tag has `json:",omitzero"`,
// when it is zero; or if it has a default, as in `default:"1"`. Null is for pointers, interfaces, and types that read
// themselves. A may also be a map, which takes whatever comes. Where no type is asked for, whole numbers are int64, or
// uint64 where that is too small.
//
// What it returns is written by encoding/json/v2, and an error is for the caller: see [Failure].
func (e *Endpoint) Method[A, R any](name string, answer func(ctx *Context, args A) (R, error)) *Endpoint {
	if _, isThere := e.methods[name]; isThere {
		panic(fmt.Sprintf("endpointd: the method %s is there twice", name))
	}
	parameters := parametersOf(name, reflect.TypeFor[A]())
	e.names = append(e.names, name)
	e.methods[name] = func(ctx *Context, text string) ([]byte, error) {
		var args A
		if err := readArguments(name, parameters, text, reflect.ValueOf(&args).Elem()); err != nil {
			return nil, err
		}
		result, err := answer(ctx, args)
		if err != nil {
			return nil, err
		}
		reply, err := rpcjson.Write(result)
		if err != nil {
			return nil, Failf("ValueError", "the result is no JSON: %s", rpcjson.Problem(err))
		}
		return reply, nil
	}
	return e
}

func init() {
	host.Targets = targets
	host.Dispatch = dispatch
}

func targets() []host.Target {
	var served []host.Target
	for _, endpoint := range endpoints {
		served = append(served, host.Target{
			Namespace: endpoint.namespace,
			Version:   endpoint.version,
			Methods:   endpoint.names,
		})
	}
	return served
}

func dispatch(request host.Request) (reply string, failure *host.Failure) {
	defer func() {
		if value := recover(); value != nil {
			failure = panicked(value).toHost()
		}
	}()
	fitting := slices.DeleteFunc(slices.Clone(endpoints), func(endpoint *Endpoint) bool {
		return !endpoint.fits(&request)
	})
	if len(fitting) == 0 {
		return "", (&Failure{
			Class:   "NoSuchMethod",
			Module:  "oslo_messaging.rpc.dispatcher",
			Message: "Endpoint does not support RPC method " + request.Method,
		}).toHost()
	}
	// All of them have the major that was asked for.
	highest := slices.MaxFunc(fitting, func(one, other *Endpoint) int { return cmp.Compare(one.minor, other.minor) })
	result, err := highest.methods[request.Method](NewContext(request.Context), request.Args)
	if err != nil {
		return "", failureOf(err).toHost()
	}
	return string(result), nil
}

// fits tells an endpoint of the plugin from the others; the host has checked already that one of them fits.
func (e *Endpoint) fits(request *host.Request) bool {
	major, minor := numbersOf(request.Version)
	sameNamespace := (e.namespace == nil) == (request.Namespace == nil) &&
		(e.namespace == nil || *e.namespace == *request.Namespace)
	return sameNamespace && e.major == major && e.minor >= minor && e.methods[request.Method] != nil
}

// numbersOf are the first two numbers of a version, as Python's int reads them; what is none counts as 0.
func numbersOf(version string) (major, minor int) {
	parts := append(strings.Split(version, "."), "")
	number := func(part string) int {
		value, _ := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(part), "_", ""))
		return value
	}
	return number(parts[0]), number(parts[1])
}
