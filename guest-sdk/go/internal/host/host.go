// Package host is the host's side: imports in a plugin, plain Go in a test. Both have the same functions, so
// nothing above knows which one it runs on.
package host

// A Target is one interface that the plugin serves.
type Target struct {
	Namespace *string
	Version   string
	Methods   []string
}

// A Request is what the host asks of the plugin. Args and Context are JSON objects.
type Request struct {
	Namespace                      *string
	Version, Method, Args, Context string
}

// A Failure is an exception. Kwargs is a JSON object, or nil where there are none.
type Failure struct {
	Class, Module, Message string
	Kwargs                 *string
	Traceback              []string
	Expected               bool
}

// What answers the host; the package above sets both before any export is called.
var (
	Targets  func() []Target
	Dispatch func(Request) (string, *Failure)
)

// A Kind is how a message is sent.
type Kind int

// To one server for its result, to one server, to every server.
const (
	Call Kind = iota
	Cast
	Fanout
)

// A Message is what is sent to others. Absent parts are nil; Args and Context are JSON objects.
type Message struct {
	Exchange, Server, Namespace, Version, Context *string
	Topic, Method, Args                           string
	TimeoutMs                                     *uint32
}

// A SendProblem is the case of the contract's `client.error`.
type SendProblem uint32

// The cases in the contract's order.
const (
	NotGranted SendProblem = iota
	Invalid
	Timeout
	Unroutable
	Unavailable
	Remote
)

// A SendError is why a message was not sent, or a call has no result. Failure is there for Remote alone.
type SendError struct {
	Problem SendProblem
	Text    string
	Failure *Failure
}

// A StoreProblem is the case of `wasi:keyvalue/store.error`.
type StoreProblem uint32

// The cases in the contract's order.
const (
	NoSuchStore StoreProblem = iota
	AccessDenied
	Other
)

// A StoreError is why a bucket could not be used.
type StoreError struct {
	Problem StoreProblem
	Text    string
}
